"""Latency tables as documents: what is written is read back equal; what is false, cut short or edited is refused."""

import copy
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables import CALM_NS, DEVICE, launches, made_up_table, measurement
from small_spaces import SMALL_SPACES, small_space

from nas.errors import InvalidInput
from nas.latency.device import Device, this_machine
from nas.latency.measurement import Measurement
from nas.latency.predict import LatencyPredictor
from nas.latency.table import LatencyTable
from nas.space import SearchSpace

SMOKE = SearchSpace.bundled("smoke")
TABLE = made_up_table(SMOKE)
KEY = next(iter(TABLE.entries))
PHASE = measurement(9000).model_dump(mode="json")


def edited(*path, value):
    """Return the table's document with one value changed."""
    document = json.loads(json.dumps(TABLE.to_dict()))
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return document


@pytest.mark.parametrize("name", ["smoke", *SMALL_SPACES])
def test_a_table_written_as_json_is_read_back_equal(name):
    table = TABLE if name == "smoke" else made_up_table(small_space(name))
    assert LatencyTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("entries", KEY, "latency_ns"), 1, f"entries.{KEY}.latency_ns"),
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
        (("entries", KEY, "launches_ns"), [0.0123] * 5, f"entries.{KEY}.launches_ns[0]"),  # milliseconds
        (("entries", KEY, "latency_ns"), 0.0123, f"entries.{KEY}.latency_ns"),
        (("entries", KEY, "latency_ns"), math.nan, f"entries.{KEY}.latency_ns"),
        (("entries", KEY, "latency_ns"), "12000", f"entries.{KEY}.latency_ns"),
        (("entries", KEY, "stolen"), [1.5] * 5, f"entries.{KEY}.stolen[0]"),
        (("entries", KEY, "stolen"), [-0.1] * 5, f"entries.{KEY}.stolen[0]"),
        (("entries", KEY, "iterations"), [-1] * 5, f"entries.{KEY}.iterations[0]"),
        (("entries", KEY, "interrupted"), [], f"entries.{KEY}.interrupted"),
        (("entries", KEY, "late_early_ratios"), [0.0] * 5, f"entries.{KEY}.late_early_ratios[0]"),
        (("entries", KEY, "sentinel_ratios"), [math.inf] * 5, f"entries.{KEY}.sentinel_ratios[0]"),
        (("entries", KEY, "sentinel_ratios"), [1.0] * 4, f"entries.{KEY}.sentinel_ratios"),
        (("entries", KEY, "difference"), math.inf, f"entries.{KEY}.difference"),
        (("entries",), {}, "entries"),
        (("sentinel", "calm_ns"), 7, "sentinel.calm_ns"),
        (("sentinel", "readings_ns"), [], "sentinel.readings_ns"),
        (("whole_models", 0, "architecture", "max_length"), 63, "whole_models[0].architecture.id"),
        (("whole_models", 0, "architecture", "family"), "none", "whole_models[0].architecture.family"),
        (("whole_models", 0, "phases"), {}, "whole_models[0].phases"),
        (
            ("whole_models", 0, "phases", "prefill", "launches_ns"),
            [9000] * 4,
            "whole_models[0].phases.prefill.iterations",
        ),
        (("whole_models", 0, "phases", "prefill", "latency_ns"), 9, "whole_models[0].phases.prefill.latency_ns"),
        (("whole_models", 0, "phases", "decode"), PHASE, "whole_models[0].phases.decode.[key]"),
        (("whole_models", 0, "phases", "step"), PHASE, "whole_models[0].phases"),
        (("whole_models", 0, "latency_ns"), 9000, "whole_models[0].latency_ns"),
        (("workload", "output_length"), -1, "workload.output_length"),
        (("protocol",), 99, "protocol"),
        (("protocol",), 1, "protocol"),
        (("schema",), "pocketformer/latency-table/9", "schema"),
        (("schema",), "pocketformer/latency-table/1", "schema"),
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


@pytest.mark.parametrize("name", ["small-decoder", "small-encoder-decoder"])
@pytest.mark.parametrize("phase", ["prefill", "step"])
def test_a_whole_model_without_a_phase_that_the_workload_has_is_refused(name, phase):
    document = made_up_table(small_space(name), whole_models=8).to_dict()
    del document["whole_models"][2]["phases"][phase]
    with pytest.raises(InvalidInput, match=r"whole_models\[2\]\.phases.*\['prefill', 'step'\]"):
        LatencyTable.from_dict(document)


def test_a_step_at_a_workload_that_writes_nothing_is_refused():
    document = made_up_table(small_space("small-decoder"), whole_models=8).to_dict()
    document["workload"]["output_length"] = 0
    with pytest.raises(InvalidInput, match=r"whole_models\[0\]\.phases"):
        LatencyTable.from_dict(document)


@pytest.mark.parametrize(
    "column", ["launches_ns", "iterations", "interrupted", "stolen", "late_early_ratios", "sentinel_ratios"]
)
def test_a_column_cut_short_is_refused(column):
    document = copy.deepcopy(TABLE.to_dict())
    entry = document["entries"][KEY]
    entry[column] = entry[column][:-1]
    with pytest.raises(InvalidInput, match="one a launch"):
        LatencyTable.from_dict(document)


def test_a_table_cut_short_as_text_is_no_table():
    text = json.dumps(TABLE.to_dict())
    for share in (0.3, 0.99):
        with pytest.raises(json.JSONDecodeError):
            json.loads(text[: int(share * len(text))])
    for name in ("entries", "whole_models", "sentinel", "device", "workload", "protocol"):
        document = TABLE.to_dict()
        del document[name]
        with pytest.raises(InvalidInput, match=name):
            LatencyTable.from_dict(document)


IN_MILLISECONDS = 10**6


def in_other_units(divisor: int):
    """Return the table as one who takes its numbers for another unit would write it: rounded, but whole."""
    document = copy.deepcopy(TABLE.to_dict())

    def smaller(found):
        return measurement(max(1, round(found["latency_ns"] / divisor))).model_dump(mode="json")

    document["entries"] = {key: smaller(entry) for key, entry in document["entries"].items()}
    calm_ns = max(1, round(document["sentinel"]["calm_ns"] / divisor))
    document["sentinel"] = {"readings_ns": [calm_ns] * 10, "calm_ns": calm_ns}
    for model in document["whole_models"]:
        model["phases"] = {phase: smaller(found) for phase, found in model["phases"].items()}
    return document


@pytest.mark.parametrize("divisor", [IN_MILLISECONDS, 1000])
def test_a_table_whose_numbers_are_plainly_no_nanoseconds_is_refused(divisor):
    with pytest.raises(InvalidInput, match="nanoseconds"):
        LatencyTable.from_dict(in_other_units(divisor))


def test_a_table_without_whole_models_can_be_read_but_predicts_nothing():
    empty = LatencyTable.from_dict(edited("whole_models", value=[]))
    with pytest.raises(InvalidInput, match="at least 7"):
        LatencyPredictor(empty)


def test_a_whole_model_stands_in_a_table_once():
    models = TABLE.to_dict()["whole_models"]
    with pytest.raises(InvalidInput, match="each architecture once"):
        LatencyTable.from_dict(edited("whole_models", value=[*models, models[0]]))


def test_the_figure_is_the_lower_decile_of_the_launches():
    found = Measurement.of(launches([990, 1012, 1000, 1020, 1900, 1040, 1030, 1025, 2000, 1024, 2100]), CALM_NS)
    assert found.latency_ns == 1000  # the second of eleven
    assert found.valid


def test_the_interval_of_the_figure_holds_it_nine_times_of_ten():
    # The decile of an exponential distribution above a floor, as disturbances make it: floor + ln(10 / 9) · mean
    rng = random.Random(0)
    true = 10_000 + 2_000 * math.log(10 / 9)
    for count in (30, 40, 60):
        inside = 0
        for _ in range(600):
            found = Measurement.of(
                launches([round(10_000 + rng.expovariate(1 / 2_000)) for _ in range(count)]), CALM_NS
            )
            assert found.low_ns <= found.latency_ns <= found.high_ns
            inside += found.low_ns <= true <= found.high_ns
        assert 0.86 <= inside / 600 <= 0.99


def test_a_measurement_settles_as_launches_agree():
    few, many = (Measurement.of(launches([1000, 1200, 1100, 1150, 1080] * n), CALM_NS) for n in (1, 8))
    assert few.valid
    assert not few.settled
    assert many.settled


@pytest.mark.parametrize(
    ("taken", "reason"),
    [
        (launches([100, 100]), "2 launches"),
        (launches([100, 105, 135, 300, 400]), "uncertain by 17%"),
        (launches([100] * 5, late_early_ratio=1.2), "slowed down by 20%"),
        (launches([100] * 5, sentinel_ns=2 * CALM_NS), "0 of its launches were taken in calm"),
        (launches([100] * 3, interrupted=48) + launches([101, 102]), "2 of its launches were taken in calm"),
        (launches([100] * 5, stolen=0.5), "0 of its launches were taken in calm"),
        (launches([100] * 4) + launches([100], difference=0.5), "output differs"),
    ],
)
def test_a_measurement_that_is_not_valid_says_why(taken, reason):
    found = Measurement.of(taken, CALM_NS)
    assert not found.valid
    assert reason in (found.reason or "")
    assert not found.settled


def test_launches_taken_in_calm_count_before_faster_ones_that_were_not():
    disturbed = launches([80, 81, 82], interrupted=49)
    found = Measurement.of([*disturbed, *launches([101, 100, 102, 103])], CALM_NS)
    assert (found.latency_ns, found.low_ns, found.valid) == (100, 100, True)


def test_two_slow_launches_of_five_change_nothing():
    calm, stormy = (
        Measurement.of(launches(x), CALM_NS) for x in ([100, 101, 102, 103, 104], [100, 101, 102, 900, 950])
    )
    assert calm.latency_ns == stormy.latency_ns == 100
    assert stormy.valid


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=40))
@settings(max_examples=100)
def test_every_measurement_survives_being_written_and_read(latencies_ns):
    found = Measurement.of(launches(latencies_ns), CALM_NS)
    assert Measurement.model_validate_json(found.model_dump_json()) == found
    assert found.low_ns <= found.latency_ns <= found.high_ns


def test_the_fingerprint_changes_with_what_changes_the_number_and_with_nothing_else():
    for name, value, changes in (
        ("hardware", "another", True),
        ("runtime_version", "2.0", True),
        ("threads", 2, True),
        ("clock", "performance", True),
        ("name", "renamed", False),
        ("memory_mb", 5, False),
        ("precision", "int8-dynamic", True),
        ("runtime", "torch", True),
        ("address", "ssh://far-away", False),
        ("system", "another", False),
    ):
        other = DEVICE.model_copy(update={name: value})
        assert (other.fingerprint != DEVICE.fingerprint) is changes


def test_this_machine_describes_itself_and_is_read_back_equal():
    device = this_machine()
    assert device.name == "this-machine"
    assert device.threads == 1
    assert Device.from_dict(json.loads(json.dumps(device.to_dict()))) == device
