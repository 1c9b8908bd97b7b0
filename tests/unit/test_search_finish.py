"""Who is trained in full after a search."""

import pytest

from nas.errors import InvalidInput
from nas.search.finish import Finish, Subject, spread, stratified, subjects
from nas.search.job import JobSpec

DOCUMENT = {
    "name": "j",
    "search_space": "smoke",
    "task": {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 90}},
    "workload": {"input_length": 16},
    "objectives": ["error_rate", "macs"],
    "budget": {"trials": 4},
}


def test_a_front_within_the_limit_is_taken_whole_and_a_longer_one_with_its_ends_and_its_knee():
    front = list(range(100, 120))
    assert spread(front[:4], 101, 6) == front[:4]
    for most in range(3, 20):
        chosen = spread(front, 107, most)
        assert len(chosen) == len(set(chosen)) == most
        assert {100, 107, 119} <= set(chosen) <= set(front)
    assert spread(front, 107, 1) == [107]
    assert spread(front, None, 2) == [100, 119]
    assert spread([], None, 3) == []


def test_the_members_between_the_ends_stand_at_even_distances():
    assert spread(list(range(101)), None, 5) in ([0, 25, 50, 75, 100], [0, 33, 50, 67, 100])


def test_the_sample_has_one_of_each_group_of_like_size_and_follows_the_seed():
    order = list(range(20))
    for seed in range(30):
        chosen = stratified(order, 4, seed)
        assert [number // 5 for number in chosen] == [0, 1, 2, 3]
        assert chosen == stratified(order, 4, seed)
    assert len({tuple(stratified(order, 4, seed)) for seed in range(30)}) > 10
    assert stratified(order[:3], 8, 0) == order[:3]
    assert stratified([], 8, 0) == stratified(order, 0, 0) == []


def test_front_smallest_and_largest_are_trained_with_every_seed_and_the_sample_once():
    parameters = {n: 1000.0 - n for n in range(8)}
    chosen = subjects([5, 3], 3, parameters, Finish(seeds=4, sample=8), seed=0)
    assert chosen == (
        Subject(0, ("largest", "sample"), 4),
        Subject(1, ("sample",), 1),
        Subject(2, ("sample",), 1),
        Subject(3, ("front", "sample"), 4),
        Subject(4, ("sample",), 1),
        Subject(5, ("front", "sample"), 4),
        Subject(6, ("sample",), 1),
        Subject(7, ("smallest", "sample"), 4),
    )
    assert subjects([], None, {}, Finish(), seed=0) == ()


@pytest.mark.parametrize(
    ("promotion", "finish", "steps"),
    [
        (None, {}, (90, 360)),
        ({"rungs": 3, "reduction": 3}, {}, (10, 30, 90, 360)),
        ({"rungs": 3, "reduction": 3}, {"steps": 900}, (10, 30, 90, 900)),
        ({"rungs": 3, "reduction": 3}, {"steps": 30}, (10, 30)),
        (None, {"steps": 90}, (90,)),
    ],
)
def test_a_training_in_full_is_scored_on_the_rungs_of_the_search_and_at_its_end(promotion, finish, steps):
    document = DOCUMENT | {"finish": finish} | ({"promotion": promotion} if promotion else {})
    spec = JobSpec.from_document(document)
    assert spec.finish_ladder(spec.finish).steps == steps
    assert JobSpec.from_document(spec.to_document()) == spec


@pytest.mark.parametrize(
    ("field", "value"), [("seeds", 0), ("seeds", 21), ("members", 0), ("sample", -1), ("steps", 0), ("epochs", 3)]
)
def test_a_finish_that_can_not_be_is_refused_with_its_field(field, value):
    with pytest.raises(InvalidInput) as refused:
        JobSpec.from_document(DOCUMENT | {"finish": {field: value}})
    assert [problem.field for problem in refused.value.problems] == [f"finish.{field}"]
