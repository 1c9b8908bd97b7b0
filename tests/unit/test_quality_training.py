"""Training for fixed steps: reproducible, the same for every candidate, and it learns."""

import math
import random
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from nas.architecture import Architecture, Head, Layer, Stack
from nas.documents import validate
from nas.errors import InvalidInput, TrainingDiverged
from nas.export.weights import sha256_of, weights_to_bytes
from nas.models import build_model
from nas.quality import training
from nas.quality.datasets import load_dataset
from nas.quality.optimizer import optimizer_for
from nas.quality.plan import TrainingPlan
from nas.quality.training import Trunk, decay_start, schedule, train
from nas.space import SearchSpace
from nas.workload import Workload

LENGTH = 24
WORKLOAD = Workload(input_length=LENGTH)
ATTENTIONS = {
    "softmax": {"heads": 2},
    "grouped-query": {"heads": 2, "key_value_heads": 1},
    "linear": {"heads": 2},
    "local": {"heads": 2, "window": 4},
    "long-short": {"heads": 2, "kernel_size": 3},
    "gated-convolution": {},
    "low-rank": {"heads": 2, "rank": 4},
}


def architecture(attention="softmax", hidden_size=16, positions="sinusoidal", norm_position="pre"):
    layer = Layer(attention=attention, feed_forward_size=2 * hidden_size, **ATTENTIONS[attention])
    stack = Stack(
        hidden_size=hidden_size,
        positions=positions,
        norm_position=norm_position,
        activation="gelu",
        layers=(layer,),
    )
    return Architecture(
        family="encoder",
        vocabulary_size=259,
        max_length=LENGTH,
        encoder=stack,
        head=Head(type="classification", outputs=35),
    )


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("language-identification")


def run(dataset, steps=12, seed=0, on_step=None, learning_rate=3e-3, **choices):
    plan = TrainingPlan(steps=steps, batch_size=16, learning_rate=learning_rate)
    return train(architecture(**choices), dataset, plan, workload=WORKLOAD, seed=seed, on_step=on_step)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_equal_arguments_give_equal_results_to_the_last_bit(dataset, attention):
    first, second = run(dataset, attention=attention), run(dataset, attention=attention)
    assert first.metrics == second.metrics
    assert first.history == second.history
    assert weights_to_bytes(first.state) == weights_to_bytes(second.state)


def test_a_fresh_process_gives_the_same_bits(dataset):
    code = f"""
import torch; torch.set_num_threads(1)
from nas.architecture import Architecture
from nas.export.weights import sha256_of, weights_to_bytes
from nas.quality.datasets import load_dataset
from nas.quality.plan import TrainingPlan
from nas.quality.training import train
from nas.workload import Workload
a = Architecture.from_dict({architecture().to_dict()!r})
plan = TrainingPlan(steps=12, batch_size=16, learning_rate=3e-3)
r = train(a, load_dataset("language-identification"), plan, workload=Workload(input_length={LENGTH}), seed=0)
print(sha256_of(weights_to_bytes(r.state)), repr(r.metrics["error_rate"]), repr(r.metrics["loss"]))
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    here = run(dataset)
    expected = [sha256_of(weights_to_bytes(here.state)), repr(here.metrics["error_rate"]), repr(here.metrics["loss"])]
    assert printed.split() == expected


def test_the_state_of_the_process_neither_matters_nor_changes(dataset):
    torch.manual_seed(1)
    first = run(dataset)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    second = run(dataset)
    assert torch.equal(before, torch.get_rng_state())
    assert weights_to_bytes(first.state) == weights_to_bytes(second.state)


def test_another_seed_gives_other_weights(dataset):
    assert run(dataset, seed=0).metrics["loss"] != run(dataset, seed=1).metrics["loss"]


@pytest.mark.parametrize(("norm_position", "positions"), [("pre", "sinusoidal"), ("post", "learned")])
def test_a_small_model_learns_far_beyond_the_majority_baseline(dataset, norm_position, positions):
    result = run(dataset, steps=150, hidden_size=32, norm_position=norm_position, positions=positions)
    assert result.metrics["error_rate"] < dataset.info.chance["error_rate"] - 0.2
    assert result.metrics["loss"] < math.log(35) - 0.8
    assert result.history[-1][1] < result.history[0][1]


def test_the_result_says_what_was_done(dataset):
    result = run(dataset, steps=7)
    assert result.steps == 7
    assert result.label == "proxy"
    assert [step for step, _ in result.history] == [1, 2, 3, 4, 5, 6, 7]
    assert set(result.metrics) == set(dataset.info.metrics)
    assert result.duration_s > 0
    assert result.cpu_s > 0


def test_a_long_history_is_thinned_and_ends_with_the_last_step(dataset):
    steps = [step for step, _ in run(dataset, steps=101).history]
    assert len(steps) <= training.HISTORY_POINTS
    assert steps[-1] == 101


def test_every_step_is_reported_once_in_order(dataset):
    calls = []
    run(dataset, steps=5, on_step=lambda step, steps: calls.append((step, steps)))
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_the_weights_are_the_callers_alone(dataset):
    first = run(dataset)
    assert {name: t.shape for name, t in first.state.items()} == {
        name: t.shape for name, t in build_model(architecture()).state_dict().items()
    }
    for tensor in first.state.values():
        assert tensor.device.type == "cpu"
        assert tensor.is_contiguous()
        assert not tensor.requires_grad
    pointers = {tensor.untyped_storage().data_ptr() for tensor in first.state.values()}
    assert len(pointers) == len(first.state)


def test_a_loss_that_is_not_finite_ends_the_training_with_step_and_loss(dataset, monkeypatch):
    def broken(architecture, seed):
        model = build_model(architecture, seed)
        with torch.no_grad():
            model.blocks[-1].classes.bias[3] = float("nan")
        return model

    monkeypatch.setattr(training, "build_model", broken)
    with pytest.raises(TrainingDiverged, match=r"nan at step 1 of 12"):
        run(dataset)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("warn_only", [True, False])
def test_the_callers_choice_of_algorithms_is_restored(dataset, warn_only):
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        run(dataset, steps=1)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled() == warn_only
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 200, 1001])
def test_the_schedule_warms_up_holds_and_decays_and_no_step_is_idle(steps):
    factors = [schedule(step, steps) for step in range(steps)]
    peak = factors.index(max(factors))
    assert min(factors) > 0
    assert max(factors) == 1 or steps < 3
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    if steps >= 200:
        assert factors.count(1.0) / steps == pytest.approx(1 - training.WARM_UP - training.DECAY, abs=0.02)
        assert factors[-1] < 0.02


# The trunk, and the scores that branch off it ------------------------------------------------------------------

RUNGS = (10, 25, 60)


def trunk(dataset, checkpoint=None, seed=0, first_rung=RUNGS[0], for_steps=None):
    plan = TrainingPlan(steps=RUNGS[-1], batch_size=8)
    return Trunk(
        architecture(),
        dataset,
        plan,
        workload=WORKLOAD,
        seed=seed,
        first_rung=first_rung,
        checkpoint=checkpoint,
        for_steps=for_steps,
    )


def bits(result):
    return result.metrics, result.history, weights_to_bytes(result.state)


@pytest.mark.parametrize("seed", range(5))
def test_from_rung_to_rung_gives_the_score_of_training_straight_there(dataset, seed):
    climbing = trunk(dataset, seed=seed)
    for steps in RUNGS:
        assert bits(climbing.score_at(steps)) == bits(trunk(dataset, seed=seed).score_at(steps))


def test_the_rungs_cost_one_trunk_and_their_decays(dataset):
    climbing, taken = trunk(dataset), []
    steps_taken = sum(climbing.score_at(steps, lambda step, _: taken.append(step)).steps_taken for steps in RUNGS)
    assert steps_taken == len(taken) == decay_start(RUNGS[-1]) + sum(steps - decay_start(steps) for steps in RUNGS)
    assert steps_taken < sum(RUNGS)


def test_a_trunk_does_not_go_back(dataset):
    climbing = trunk(dataset)
    climbing.score_at(60)
    with pytest.raises(ValueError, match="at step 36, a schedule of 10 steps decays from 6 on"):
        climbing.score_at(10)


class Killed(Exception):
    """In place of a signal."""


@pytest.mark.parametrize("at", [1, 5, 20, 40])
def test_a_killed_training_goes_on_from_its_checkpoint_and_scores_as_if_undisturbed(dataset, tmp_path, monkeypatch, at):
    monkeypatch.setattr(training, "CHECKPOINT_S", 0.0)
    file, undisturbed = tmp_path / "trunks" / "trunk.safetensors", bits(trunk(dataset).score_at(60))

    def killed_at(step, _):
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        trunk(dataset, file).score_at(60, killed_at)
    resumed = trunk(dataset, file)
    found = resumed.step
    assert found == min(at, decay_start(60))  # the branch has no checkpoint: it is short
    result = resumed.score_at(60)
    assert result.steps_taken == 60 - found
    assert bits(result) == undisturbed
    assert [path.name for path in file.parent.iterdir()] == ["trunk.safetensors"]


@contextmanager
def full_disk():
    """Let this process write no file beyond a thousand bytes, as on a disk that is full by then."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_on_a_full_disk_a_training_goes_on_without_its_checkpoint_and_says_so(dataset, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(training, "CHECKPOINT_S", 0.0)
    file = tmp_path / "trunks" / "trunk.safetensors"
    with full_disk():
        assert bits(trunk(dataset, file).score_at(10)) == bits(trunk(dataset).score_at(10))
    assert "can't be written" in caplog.text
    assert not list(file.parent.iterdir())
    file.parent.rmdir()
    file.parent.write_text("no folder")
    assert bits(trunk(dataset, file).score_at(10)) == bits(trunk(dataset).score_at(10))


@pytest.mark.parametrize("spoil", [lambda content: b"", lambda content: content[:-40], lambda content: b"x" * 200])
def test_a_checkpoint_that_can_not_be_read_is_left_out_and_said(dataset, tmp_path, caplog, spoil):
    file = tmp_path / "trunk.safetensors"
    trunk(dataset, file).score_at(10)
    file.write_bytes(spoil(file.read_bytes()))
    again = trunk(dataset, file)
    assert again.step == 0
    assert "is not used" in caplog.text
    assert bits(again.score_at(10)) == bits(trunk(dataset).score_at(10))


def test_a_checkpoint_beyond_the_score_that_is_wanted_is_left_out(dataset, tmp_path, caplog):
    """As a cancelled job leaves it to the same job, submitted anew."""
    file = tmp_path / "trunk.safetensors"
    trunk(dataset, file).score_at(60)
    again = trunk(dataset, file, for_steps=10)
    assert again.step == 0
    assert "it is beyond a score after 10 steps" in caplog.text
    assert bits(again.score_at(10)) == bits(trunk(dataset).score_at(10))


def test_the_checkpoint_of_another_training_is_not_gone_on_with(dataset, tmp_path, caplog):
    file = tmp_path / "trunk.safetensors"
    trunk(dataset, file).score_at(10)
    assert trunk(dataset, file).step == 6
    assert trunk(dataset, file, seed=1).step == 0
    assert trunk(dataset, file, first_rung=60).step == 0  # another warm-up
    assert "it is of another training" in caplog.text


def rates(hidden_size, positions="learned", attention="softmax"):
    return rates_of(build_model(architecture(attention, hidden_size=hidden_size, positions=positions)))


def rates_of(model):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = optimizer_for(model, 1e-3).param_groups
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_the_rate_of_hidden_matrices_alone_falls_with_the_width():
    narrow, wide = rates(64), rates(256)
    assert set(narrow) == {name for name, _ in build_model(architecture()).named_parameters()} | {"blocks.0.positions"}
    for name, (rate, decay) in narrow.items():
        matrix = name.endswith("weight") and "norm" not in name and "tokens" not in name
        assert wide[name][0] == pytest.approx(rate / 4 if matrix else rate), name
        assert (decay > 0) == (matrix and "classes" not in name), name
    assert narrow["blocks.1.attention.qkv.weight"][0] == 1e-3
    assert narrow["blocks.1.norm.weight"] == narrow["blocks.0.positions"] == (1e-3, 0.0)


@pytest.mark.parametrize(
    ("attention", "kept", "decayed"),
    [
        ("low-rank", {"key_mixtures.weight", "value_mixtures.weight"}, True),
        ("long-short", {"short.weight"}, False),
        ("gated-convolution", {"convolution.weight"}, False),
    ],
)
def test_matrices_that_do_not_sum_over_the_width_keep_the_base_rate(attention, kept, decayed):
    narrow, wide = rates(64, attention=attention), rates(256, attention=attention)
    prefix = "blocks.1.attention."
    same = {name for name in narrow if name.endswith("weight") and name.startswith(prefix) and wide[name][0] == 1e-3}
    assert {name.removeprefix(prefix) for name in same} == kept
    assert all((wide[name][1] > 0) == decayed for name in same)


def test_each_stack_of_an_encoder_decoder_has_the_rates_of_its_own_width():
    document = SearchSpace.bundled("seq2seq").to_document()
    document["encoder"]["hidden_size"], document["decoder"]["hidden_size"] = [128], [64]
    model = build_model(SearchSpace.from_document(document).sample(random.Random(0)))
    found = rates_of(model)
    assert found["encoder_blocks.2.inner.weight"][0] == pytest.approx(1e-3 / 2)
    assert found["decoder_blocks.3.inner.weight"][0] == pytest.approx(1e-3)


def test_a_model_that_does_not_classify_is_not_trained_on_classified_sequences(dataset):
    other = SearchSpace.bundled("causal-decoder").sample(random.Random(0))
    with pytest.raises(InvalidInput, match="encoder, classification"):
        train(other, dataset, TrainingPlan(steps=1), workload=WORKLOAD, seed=0)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"steps": "100"}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": -1e-3}, "learning_rate"),
        ({"seconds": 20}, "seconds"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_field(plan, field):
    with pytest.raises(InvalidInput) as refused:
        validate(TrainingPlan, plan, "task.training")
    assert [problem.field for problem in refused.value.problems] == [f"task.training.{field}"]
