"""The journal: what a killed process left is read, runs are joined, and no launch that arrived is lost."""

import json

import pytest

from nas.errors import MeasurementFailed
from nas.latency.journal import SENTINEL, Journal


def start(cpu=1):
    return {"start": {"cpu": cpu, "scheduled": "usual", "runtime_version": "1.0"}}


def launch(graph, latency_ns):
    return {
        "launch": {
            "graph": graph,
            "latency_ns": latency_ns,
            "iterations": 50,
            "interrupted": 1,
            "stolen": 0.02,
            "late_early_ratio": 1.01,
            "difference": 1e-6,
            "samples_ns": [latency_ns, latency_ns + 1],
        }
    }


ONE_RUN = [start(), launch(SENTINEL, 1000), launch("a", 10), launch("b", 20), launch(SENTINEL, 900), launch("c", 30)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def written(path, lines):
    journal = Journal(path)
    for line in lines:
        journal.write(line)
    return journal


def latencies(journal):
    return {name: [x.latency_ns for x in found] for name, found in journal.launches("abc").items()}


def test_what_was_written_is_read_by_the_next_process(path):
    lines = [*ONE_RUN, launch(SENTINEL, 800)]
    first = written(path, lines)
    again = Journal(path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines
    assert list(again.runs()) == list(first.runs())
    assert again.launches("abc") == first.launches("abc")
    assert again.readings_ns == [1000, 900, 800]
    assert again.cpu == 1


def test_a_launch_stands_beside_the_lower_reading_before_and_after_it(path):
    journal = written(path, [*ONE_RUN, launch(SENTINEL, 800)])
    beside = {name: found[0].sentinel_ns for name, found in journal.launches("abc").items()}
    assert beside == {"a": 900, "b": 900, "c": 800}


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_last_line_that_was_being_written_when_the_process_was_killed_is_dropped(path, cut):
    written(path, ONE_RUN)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    journal = Journal(path)
    assert latencies(journal) == {"a": [10], "b": [20], "c": []}
    assert path.read_bytes() == b"".join(content.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_what_is_written_after_a_line_cut_short_is_read_by_the_process_after_that(path, cut):
    written(path, ONE_RUN)
    path.write_bytes(path.read_bytes()[:-cut])
    second = Journal(path)
    for line in (start(cpu=0), launch(SENTINEL, 950), launch("c", 33), launch(SENTINEL, 940)):
        second.write(line)
    third = Journal(path)
    assert third.launches("abc") == second.launches("abc")
    assert third.readings_ns == [1000, 900, 950, 940]
    assert latencies(third)["c"][-1] == 33


def test_a_run_cut_off_before_its_last_sentinel_counts(path):
    written(path, ONE_RUN)
    (found,) = Journal(path).launches("abc")["c"]
    assert (found.latency_ns, found.sentinel_ns) == (30, 900)  # there is only the reading before it


def test_the_launches_of_several_runs_are_joined_in_order(path):
    written(path, ONE_RUN)
    again = [start(cpu=3), launch(SENTINEL, 2000), launch("c", 31), launch("a", 11), launch(SENTINEL, 2100)]
    journal = written(path, again)
    for each in (journal, Journal(path)):
        assert latencies(each) == {"a": [10, 11], "b": [20], "c": [30, 31]}
        assert each.readings_ns == [1000, 900, 2000, 2100]
        # A reading of one run says nothing of launches in another
        assert [x.sentinel_ns for x in each.launches("abc")["c"]] == [900, 2000]
        assert each.cpu == 3
        assert len(list(each.runs())) == 2


def test_a_run_killed_before_its_first_launch_adds_nothing(path):
    written(path, [*ONE_RUN, start(), start(), launch(SENTINEL, 950)])
    assert latencies(Journal(path)) == {"a": [10], "b": [20], "c": [30]}


def test_everything_about_a_launch_is_kept(path):
    written(path, ONE_RUN)
    (found,) = Journal(path).launches("abc")["a"]
    assert (found.graph, found.iterations, found.interrupted) == ("a", 50, 1)
    assert (found.stolen, found.late_early_ratio, found.difference) == (0.02, 1.01, 1e-6)
    assert next(iter(Journal(path).runs()))[1]["samples_ns"] == [10, 11]


def test_a_graph_that_was_not_launched_has_no_launches(path):
    assert Journal(path).launches(["z"]) == {"z": []}
    assert Journal().launches(["z"]) == {"z": []}
    assert not path.exists()


def test_without_a_path_nothing_is_written():
    journal = Journal()
    for line in ONE_RUN:
        journal.write(line)
    assert latencies(journal) == {"a": [10], "b": [20], "c": [30]}
    assert latencies(Journal()) == {"a": [], "b": [], "c": []}


def test_a_run_that_does_not_begin_with_the_sentinel_is_refused(path):
    with pytest.raises(MeasurementFailed, match="begin with the sentinel"):
        written(path, [start(), launch("a", 10), launch(SENTINEL, 900)]).launches("abc")
