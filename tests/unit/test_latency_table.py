"""Latency tables as documents: what is written is read back equal; what is false, cut short or edited is refused."""

import json
import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables import CALM_NS, DEVICE, launches, made_up_table

from nas.errors import InvalidInput
from nas.latency.campaign import calm_level
from nas.latency.device import Device, this_machine
from nas.latency.measurement import Measurement
from nas.latency.plan import model_weight_bytes, whole_models_of
from nas.latency.table import LatencyTable
from nas.models import sub_blocks
from nas.models.space_blocks import sub_blocks_of_space
from nas.space import SearchSpace

SMOKE = SearchSpace.bundled("smoke")
TABLE = made_up_table(SMOKE)
KEY = next(iter(TABLE.entries))


def edited(*path, value):
    """Return the table's document with one value changed."""
    document = json.loads(json.dumps(TABLE.to_dict()))
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return document


def test_a_table_written_as_json_is_read_back_equal():
    assert LatencyTable.from_dict(json.loads(json.dumps(TABLE.to_dict()))) == TABLE


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("entries", KEY, "median_ns"), 1, f"entries.{KEY}.median_ns"),
        (("entries", KEY, "spread"), 0.01, f"entries.{KEY}.spread"),
        (("entries", KEY, "low_ns"), 1, f"entries.{KEY}.low_ns"),
        (("entries", KEY, "high_ns"), 10**9, f"entries.{KEY}.high_ns"),
        (("entries", KEY, "valid"), False, f"entries.{KEY}.valid"),
        (("entries", KEY, "reason"), "none", f"entries.{KEY}.reason"),
        (("entries", KEY, "launches_ns"), [], f"entries.{KEY}.launches_ns"),
        (("entries", KEY, "launches_ns"), [5, 5], f"entries.{KEY}.iterations"),
        (("entries", KEY, "launches_ns"), [5.5] * 5, f"entries.{KEY}.launches_ns[0]"),
        (("entries", KEY, "launches_ns"), [0] * 5, f"entries.{KEY}.launches_ns[0]"),
        (("entries", KEY, "launches_ns"), [-4] * 5, f"entries.{KEY}.launches_ns[0]"),
        (("entries", KEY, "launches_ns"), [math.nan] * 5, f"entries.{KEY}.launches_ns[0]"),
        (("entries", KEY, "sentinel_ratios"), [1.0] * 4, f"entries.{KEY}.sentinel_ratios"),
        (("entries", KEY, "difference"), math.inf, f"entries.{KEY}.difference"),
        (("entries",), {}, "entries"),
        (("sentinel", "calm_ns"), 7, "sentinel.calm_ns"),
        (("sentinel", "readings_ns"), [], "sentinel.readings_ns"),
        (("whole_models", 0, "architecture", "max_length"), 63, "whole_models[0].architecture.id"),
        (("whole_models", 0, "architecture", "family"), "none", "whole_models[0].architecture.family"),
        (("protocol",), 99, "protocol"),
        (("schema",), "pocketformer/latency-table/9", "schema"),
        (("device", "name"), "Not A Name", "device.name"),
        (("device", "threads"), 0, "device.threads"),
        (("workload", "input_length"), 0, "workload.input_length"),
        (("created_at",), "2026-01-01T00:00:00", "created_at"),
        (("comment",), "hello", "comment"),
    ],
)
def test_a_false_record_is_refused_naming_the_field(path, value, field):
    with pytest.raises(InvalidInput) as refused:
        LatencyTable.from_dict(edited(*path, value=value))
    assert f"latency_table.{field}" in [problem.field for problem in refused.value.problems]


def test_a_table_cut_short_anywhere_is_refused():
    document = TABLE.to_dict()
    for name in ("protocol", "device", "recipe", "workload", "space", "sentinel", "entries", "whole_models"):
        with pytest.raises(InvalidInput, match=f"latency_table.{name}"):
            LatencyTable.from_dict({k: v for k, v in document.items() if k != name})


@pytest.mark.parametrize("value", [None, [], "text", 3, {}])
def test_what_is_no_table_is_refused(value):
    with pytest.raises(InvalidInput):
        LatencyTable.from_dict(value)


def test_a_whole_model_stands_in_a_table_once():
    models = TABLE.to_dict()["whole_models"]
    with pytest.raises(InvalidInput, match="each architecture once"):
        LatencyTable.from_dict(edited("whole_models", value=[*models, models[0]]))


def test_the_figure_is_the_median_of_the_three_fastest_launches():
    found = Measurement.of(launches([500, 101, 100, 102, 900, 104]), CALM_NS)
    assert (found.median_ns, found.low_ns, found.high_ns, found.spread) == (101, 100, 103, 0.02)
    assert found.valid
    assert found.settled


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        (launches([100, 100]), "2 launches"),
        (launches([100, 105, 111, 300, 400]), "11% apart"),
        (launches([100] * 5, late_early_ratio=1.2), "slowed down by 20%"),
        (launches([100] * 5, sentinel_ns=2 * CALM_NS), "0 of its launches were taken in calm"),
        (launches([100] * 4) + launches([100], difference=0.5), "output differs"),
    ],
)
def test_a_measurement_that_is_not_valid_says_why(taken, reason):
    found = Measurement.of(taken, CALM_NS)
    assert not found.valid
    assert reason in (found.reason or "")
    assert not found.settled


def test_two_slow_launches_of_five_change_nothing():
    calm, stormy = (
        Measurement.of(launches(x), CALM_NS) for x in ([100, 101, 102, 103, 104], [100, 101, 102, 900, 950])
    )
    assert calm.median_ns == stormy.median_ns == 101
    assert stormy.valid


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=40))
@settings(max_examples=100)
def test_every_measurement_survives_being_written_and_read(latencies_ns):
    found = Measurement.of(launches(latencies_ns), CALM_NS)
    assert Measurement.model_validate_json(found.model_dump_json()) == found
    assert found.low_ns <= found.median_ns <= found.high_ns


def test_the_calm_level_is_found_when_most_of_the_time_was_disturbed():
    rng = random.Random(0)
    readings = [rng.randint(1000, 1020) for _ in range(20)] + [rng.randint(1300, 2000) for _ in range(80)]
    assert 1000 <= calm_level(readings) <= 1020


def test_the_plan_of_a_space_has_every_sub_block_of_every_architecture_and_no_other():
    assert set(sub_blocks_of_space(SMOKE)) == {block for a in SMOKE.enumerate() for block in sub_blocks(a)}


def test_the_whole_models_of_a_plan_differ_and_spread_over_all_sizes():
    space = SearchSpace.bundled("text-encoder")
    models = whole_models_of(space, 18, seed=0)
    sizes = [math.log(model_weight_bytes(model)) for model in models]
    assert len({model.id for model in models}) == 18
    assert models == whole_models_of(space, 18, seed=0) != whole_models_of(space, 18, seed=1)
    assert sizes == sorted(sizes)
    assert max(b - a for a, b in pairwise(sizes)) < 2 * (sizes[-1] - sizes[0]) / 17


def test_a_space_with_few_architectures_is_planned_with_all_of_them():
    document = SMOKE.to_document()
    document["encoder"]["depth"] = [1]
    document["encoder"]["hidden_size"] = [16]
    few = SearchSpace.from_document(document)
    assert {a.id for a in whole_models_of(few, 18, seed=0)} == {a.id for a in few.enumerate()}


def test_the_fingerprint_changes_with_what_changes_the_number_and_with_nothing_else():
    for name, value, changes in (
        ("hardware", "another", True),
        ("runtime_version", "2.0", True),
        ("threads", 2, True),
        ("clock", "performance", True),
        ("name", "renamed", False),
        ("memory_mb", 5, False),
        ("system", "another", False),
    ):
        other = DEVICE.model_copy(update={name: value})
        assert (other.fingerprint != DEVICE.fingerprint) is changes


def test_this_machine_describes_itself_and_is_read_back_equal():
    device = this_machine()
    assert device.name == "this-machine"
    assert device.threads == 1
    assert Device.from_dict(json.loads(json.dumps(device.to_dict()))) == device
