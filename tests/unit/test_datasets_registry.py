"""The registry of datasets: what happens to names and missing packages."""

import subprocess
import sys

import pytest

from nas.errors import InvalidInput, MissingPackage
from nas.quality.datasets import dataset_info, dataset_names, language_identification, load_dataset


@pytest.mark.parametrize("name", ["", "imagenet", "Language-Identification", None, 3, ["language-identification"]])
def test_an_unknown_dataset_is_refused_with_the_known_ones(name):
    with pytest.raises(InvalidInput) as refused:
        load_dataset(name)
    (problem,) = refused.value.problems
    assert problem.field == "task.dataset"
    assert problem.allowed == ", ".join(dataset_names())


def test_a_dataset_is_parsed_once_a_process():
    assert load_dataset("language-identification") is load_dataset("language-identification")


@pytest.mark.parametrize("package", ["django", "polib"])
def test_a_missing_package_is_an_error_that_says_what_to_install(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # to Python, a package that is not there
    with pytest.raises(MissingPackage, match=r"pip install 'pocketformer\[datasets\]'"):
        language_identification.load()


def test_listing_the_names_reads_no_data_and_loads_no_torch():
    code = (
        "import sys; from nas.quality.datasets import dataset_names; dataset_names(); "
        "print({'polib', 'django', 'torch'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert printed.stdout.strip() == "set()"


def test_the_facts_of_every_dataset_agree_with_its_data():
    for name in dataset_names():
        info, dataset = dataset_info(name), load_dataset(name)
        assert info.name == name
        assert info.outputs == len(info.classes) == len(set(info.classes))
        for split, count in info.examples.items():
            data = dataset.split(split)
            assert len(data) == count == len(data.lengths) == len(data.labels)
            assert data.offsets[-1] == len(data.tokens)
            assert data.lengths.min() >= 1
            assert data.tokens.min() >= 0
            assert data.tokens.max() < info.vocabulary_size
            assert set(data.labels.tolist()) == set(range(info.outputs)), "every class stands in every split"


def test_nobody_can_write_to_the_data():
    data = load_dataset("language-identification").split("train")
    for array in (data.tokens, data.labels, data.offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInput, match="train, validation, test"):
        load_dataset("language-identification").split("dev")
