"""What a campaign decides by: the calm level, the reference, and the place that one process has for itself."""

import random
import statistics
import subprocess
import sys

import pytest

from nas.cache import cache_directory
from nas.errors import Conflict
from nas.latency.campaign import REFERENCE_TOLERANCE, off_level
from nas.latency.measurement import calm_level
from nas.latency.workplace import key_of, remove, workplace


def test_the_calm_level_is_found_when_most_of_the_time_was_disturbed():
    rng = random.Random(0)
    readings = [rng.randint(1000, 1020) for _ in range(20)] + [rng.randint(1300, 2000) for _ in range(80)]
    assert 1000 <= calm_level(readings) <= 1020


def test_one_reading_that_is_too_low_does_not_set_the_calm_level():
    assert calm_level([500, *[1000] * 40]) == 1000


@pytest.mark.parametrize("readings", [[1000], [1000, 1000], [1000, 1010, 1020]])
def test_few_readings_have_a_calm_level_too(readings):
    assert min(readings) <= calm_level(readings) <= statistics.median(readings)


def test_so_much_may_be_disturbed_that_a_fiftieth_is_calm():
    assert calm_level([*[1000] * 3, *[1400] * 97]) == 1000
    assert calm_level([1000, *[1400] * 99]) == 1400


def test_the_calm_level_does_not_depend_on_the_order():
    readings = [random.Random(1).randint(1000, 3000) for _ in range(50)]
    assert calm_level(readings) == calm_level(sorted(readings)) == calm_level(readings[::-1])


def test_a_machine_is_off_its_level_when_it_is_slower_or_faster_than_is_taken():
    level = 1_000_000
    inside = round(level * (REFERENCE_TOLERANCE - 0.001))
    outside = round(level * (REFERENCE_TOLERANCE + 0.001))
    assert not off_level(level, level)
    assert not off_level(level + inside, level)
    assert not off_level(level - inside, level)
    assert off_level(level + outside, level)
    assert off_level(level - outside, level)


# The workplace ------------------------------------------------------------------------------------------------------

HOLD = """
import sys
from nas.latency.workplace import workplace
with workplace(sys.argv[1]) as directory:
    print(directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_workplace_keeps_its_files_until_it_is_removed(cache):
    with workplace("profile-1") as directory:
        (directory / "journal.jsonl").write_text("kept")
    with workplace("profile-1") as again:
        assert again == directory
        assert (again / "journal.jsonl").read_text() == "kept"
        assert directory.is_relative_to(cache)
        remove(directory)
    assert not directory.exists()
    with workplace("profile-1") as afresh:
        assert not (afresh / "journal.jsonl").exists()


def test_a_workplace_is_had_by_one_process_and_free_again_when_that_is_killed(cache):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, "profile-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip().startswith(str(cache))
        with pytest.raises(Conflict), workplace("profile-1"):
            pass
        with workplace("profile-2"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with workplace("profile-1"):
        pass


@pytest.mark.parametrize("value", ["", "relative/cache"])
def test_a_cache_that_is_named_by_no_absolute_path_is_in_the_home_directory(monkeypatch, tmp_path, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "pocketformer"


def test_the_key_of_a_profile_changes_with_everything_that_it_is_about():
    one = {"space": {"depth": [1, 2]}, "seed": 0}
    assert key_of(one) == key_of({"seed": 0, "space": {"depth": [1, 2]}})
    assert len({key_of(x) for x in (one, one | {"seed": 1}, one | {"space": {"depth": [1]}})}) == 3
    assert key_of(one).startswith("profile-")
    assert set(key_of(one)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
