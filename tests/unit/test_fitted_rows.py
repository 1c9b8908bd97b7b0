"""Rows of a CSV file: both forms come to the same fields, and what is wrong is named by row and column."""

import csv
import io
import json
import random

import numpy as np
import pytest
from fitted_rows import COLUMNS, hat_csv, made_up

from nas.architecture import Architecture
from nas.errors import InvalidInput
from nas.latency.fitted.features import fields_of, terms_of
from nas.latency.fitted.rows import read_rows
from nas.space import SearchSpace


def our_csv(architectures, latencies, column="latency_ms"):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["note", "architecture", column])
    for architecture, latency in zip(architectures, latencies, strict=True):
        writer.writerow(["", json.dumps(architecture.to_dict()), latency])
    return text.getvalue().encode()


def drawn(space: str, count: int, seed: int = 0) -> list[Architecture]:
    rng = random.Random(seed)
    bundled = SearchSpace.bundled(space)
    return [bundled.sample(rng) for _ in range(count)]


def averages(architecture: Architecture) -> list[float]:
    """Return what HAT's script writes of an architecture (its `get_feature_info`)."""
    encoder, decoder = architecture.encoder, architecture.decoder
    crosses = [layer.cross for layer in decoder.layers]
    return [
        *(
            value
            for stack in (encoder, decoder)
            for value in (
                stack.hidden_size,
                len(stack.layers),
                np.mean([layer.feed_forward_size for layer in stack.layers]),
                np.mean([layer.heads for layer in stack.layers]),
            )
        ),
        np.mean([cross.heads for cross in crosses]),
        np.mean([cross.reads for cross in crosses]),
    ]


def test_the_same_models_in_hats_form_and_in_ours_have_the_same_terms():
    architectures = drawn("hat-wmt", 12)
    theirs = read_rows(
        hat_csv([dict(zip(COLUMNS, averages(a), strict=True)) for a in architectures], np.full(12, 100.0))
    )
    ours = read_rows(our_csv(architectures, [100.0] * 12))
    assert (theirs.form, ours.form) == ("hat", "architecture")
    assert theirs.families == ours.families == ("encoder-decoder",)
    assert theirs.latencies_ms == pytest.approx(ours.latencies_ms)
    for name, values in theirs.columns.items():
        assert values == pytest.approx(ours.columns[name]), name


def test_an_encoder_has_the_terms_that_follow_from_its_sizes_and_none_of_a_decoder():
    architecture = Architecture.from_dict(
        {
            "family": "encoder",
            "vocabulary_size": 1000,
            "max_length": 64,
            "encoder": {
                "hidden_size": 64,
                "positions": "learned",
                "norm_position": "pre",
                "activation": "gelu",
                "repeats": 2,
                "layers": [
                    {"attention": "softmax", "heads": 2, "feed_forward_size": 100},
                    {"attention": "linear", "heads": 4, "head_size": 8, "feed_forward_size": 300},
                ],
            },
            "head": {"type": "classification", "outputs": 5},
        }
    )
    terms = {
        term.name: float(term.values[0])
        for term in terms_of({k: np.array([v.mean]) for k, v in fields_of(architecture).items()})
    }
    # four layers run; mean feed-forward size 200, heads 3, attention size (64 + 32) / 2 = 48
    assert terms["constant"] == 1
    assert terms["encoder layers"] == 4
    assert terms["encoder multiply-adds"] == 4 * 64 * (4 * 48 + 2 * 200)
    assert terms["encoder heads"] == 4 * 3
    assert terms["encoder linear layers"] == terms["encoder softmax layers"] == 2
    assert terms["output"] == 64 * 5
    assert not any(value for name, value in terms.items() if name.startswith("decoder"))


def test_latencies_in_another_unit_come_to_the_same_milliseconds():
    architectures = drawn("text-encoder", 3)
    for column, unit, per_ms in (("latency_us", None, 1e3), ("latency_ns", "ns", 1e6), ("latency", "s", 1e-3)):
        rows = read_rows(our_csv(architectures, [per_ms * ms for ms in (5, 6, 7)], column), unit)
        assert rows.latencies_ms == pytest.approx([5, 6, 7])


def broken(change):
    rows, latencies = made_up(30)
    lines = hat_csv(rows, latencies).decode().splitlines()
    change(lines)
    return "\n".join(lines).encode()


def put(row, column, cell):
    def change(lines):
        header, cells = lines[0].split(","), lines[row].split(",")
        cells[header.index(column)] = cell
        lines[row] = ",".join(cells)

    return change


@pytest.mark.parametrize("cell", ["nan", "-3.5", "0", "inf", "", "fast"])
@pytest.mark.parametrize("column", ["latency_mean_decoder", "encoder_embed_dim"])
def test_a_value_that_is_no_positive_number_is_refused_by_row_and_column(cell, column):
    with pytest.raises(InvalidInput) as caught:
        read_rows(broken(put(7, column, cell)))
    assert caught.value.problems[0].field == f"row 7.{column}"
    assert caught.value.problems[0].value == cell


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", "rows"),
        (b"a,b\n1,2\n", "rows, header"),
        (broken(lambda lines: lines.__setitem__(-1, lines[-1][:20])), "row 30"),
        (broken(lambda lines: lines.__setitem__(0, lines[0].replace("decoder_layer_num", "depth"))), "rows, header"),
        (
            broken(lambda lines: lines.__setitem__(0, lines[0].replace("decoder_layer_num", "encoder_layer_num"))),
            "rows, header",
        ),
        (b'architecture,latency_ms\n"{""family"": 3}",5\n', "row 1.architecture.vocabulary_size"),
        (b"architecture,latency_ms\nnot json,5\n", "row 1.architecture"),
        (b'architecture,latency_ms\n"unclosed,5\n', "rows"),
        (b"\xff\xfe\x00,\n1,2\n", "rows"),
    ],
)
def test_a_file_that_is_no_table_of_rows_is_refused(raw, field):
    with pytest.raises(InvalidInput) as caught:
        read_rows(raw)
    assert field in [problem.field for problem in caught.value.problems]


def test_a_latency_whose_unit_nobody_states_is_refused():
    raw = our_csv(drawn("text-encoder", 2), [5, 6], "latency")
    with pytest.raises(InvalidInput, match="--unit"):
        read_rows(raw)


def test_a_unit_that_contradicts_the_columns_name_is_refused():
    with pytest.raises(InvalidInput, match="latency_ms says"):
        read_rows(our_csv(drawn("text-encoder", 2), [5, 6]), "us")


@pytest.mark.parametrize("factor", [1e6, 1e-3 / 50])
def test_nanoseconds_or_seconds_where_milliseconds_belong_are_refused(factor):
    raw = our_csv(drawn("text-encoder", 3), [5 * factor, 6 * factor, 7 * factor])
    with pytest.raises(InvalidInput, match="state the unit"):
        read_rows(raw)
