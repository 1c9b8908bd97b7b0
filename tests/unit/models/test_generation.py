"""Generation against its definitions: all sequences tried, all logits computed anew for every token."""

from itertools import product

import pytest
import torch
from model_examples import crossed, decoder, encoder_decoder, mask_of, randomised, stack, tokens_of

from nas.errors import InvalidInput
from nas.models import DecoderModel, generate

TINY, STEPS = 4, 4
BEAMS = TINY ** (STEPS - 1)  # with so many no beginning is ever dropped; the vocabulary must be as large
PROMPTS = [5, 3, 1]

each_family = pytest.mark.parametrize("family", ["decoder", "encoder-decoder"])


def model_of(family, vocabulary=BEAMS, seed=0, length=12, likely=None):
    """A model whose answers depend on its input: layers and head are loud.

    Of `likely` tokens the others are so unlikely (e^−10000) that the vocabulary might as well have no more.
    """
    layers = [{"attention": "softmax"}, {"attention": "local", "window": 2}]
    if family == "decoder":
        model = randomised(decoder(layers, vocabulary, length, positions="learned"), seed)
    else:
        written = stack(crossed(2, reads=2), positions="learned")
        model = randomised(encoder_decoder(stack(layers), written, vocabulary, vocabulary, length, length), seed)
    head = (model.blocks if family == "decoder" else model.decoder_blocks)[-1]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("output.weight", "outer.weight", "classes.weight")):
                parameter.mul_(3)
        if likely is not None:
            head.norm.weight[0], head.norm.bias[0] = 0.0, 1.0  # a dimension that is always 1
            head.classes.weight[likely:, 0] -= 10_000.0
    return model


def prompts_of(seed=0, vocabulary=TINY):
    return tokens_of(len(PROMPTS), max(PROMPTS), vocabulary, seed), mask_of(PROMPTS)


def log_probabilities(model, prompt, written, start_token=0):
    """Of each token written (N, L) after one prompt or source (1, T): (N, L), all read at once, without a cache."""
    count = len(written)
    if isinstance(model, DecoderModel):
        logits = model(torch.cat((prompt.expand(count, -1), written), dim=1))[:, prompt.shape[1] - 1 : -1]
    else:
        begun = torch.cat((torch.full((count, 1), start_token), written[:, :-1]), dim=1)
        logits = model(prompt.expand(count, -1), begun)
    return logits.log_softmax(dim=-1).gather(2, written.unsqueeze(-1)).squeeze(-1)


def every_output(vocabulary, steps, end_token):
    """Every sequence that can be written: `steps` tokens, or fewer up to the first end token, and its length."""
    for tokens in product(range(vocabulary), repeat=steps):
        length = tokens.index(end_token) + 1 if end_token in tokens else steps
        if all(token == end_token for token in tokens[length:]):
            yield list(tokens), length


def likeliest_of_all(model, prompt, end_token, length_penalty, start_token=0):
    """(tokens, length, score) of the best sequence there is, by trying all."""
    sequences, lengths = zip(*every_output(TINY, STEPS, end_token), strict=True)
    each = log_probabilities(model, prompt, torch.tensor(sequences), start_token)
    lengths = torch.tensor(lengths)
    scores = (each * (torch.arange(STEPS) < lengths[:, None])).sum(dim=1)
    best = int((scores / lengths**length_penalty).argmax())
    return sequences[best], int(lengths[best]), float(scores[best])


@torch.no_grad()
@each_family
@pytest.mark.parametrize("end_token", [None, 0, 3])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_beam_search_with_enough_beams_finds_the_best_of_all_sequences(family, end_token, length_penalty, seed):
    model = model_of(family, seed=seed, likely=TINY)
    tokens, mask = prompts_of(seed)
    found = generate(
        model,
        tokens,
        mask,
        max_new_tokens=STEPS,
        end_token=end_token,
        start_token=1,
        beams=BEAMS,
        length_penalty=length_penalty,
    )
    for row, length in enumerate(PROMPTS):
        prompt = tokens[row : row + 1, :length]
        best, expected_length, score = likeliest_of_all(model, prompt, end_token, length_penalty, start_token=1)
        written = found.tokens[row].tolist()
        assert written[:expected_length] == best[:expected_length]
        assert all(token == end_token for token in written[expected_length:])
        assert int(found.lengths[row]) == expected_length
        assert float(found.scores[row]) == pytest.approx(score, abs=1e-4)


@torch.no_grad()
def test_the_best_sequence_is_not_always_the_greedy_one_nor_always_of_one_length():
    lengths, differing = set(), 0
    for seed in range(6):
        model = model_of("decoder", seed=seed, likely=TINY)
        tokens, mask = prompts_of(seed)
        kind = {"max_new_tokens": STEPS, "end_token": 0}
        greedy, best = generate(model, tokens, mask, **kind), generate(model, tokens, mask, beams=BEAMS, **kind)
        lengths |= set(best.lengths.tolist())
        differing += int((best.scores / best.lengths > greedy.scores / greedy.lengths + 1e-3).sum())
    assert differing >= 3
    assert len(lengths) > 2


def beam_search(model, prompt, steps, beams, end_token, length_penalty, start_token):
    """Beam search of one prompt in plain Python, every logit computed anew: (tokens, score)."""
    kept = [((), 0.0, False)]
    for _ in range(steps):
        grown = []
        for written, score, done in kept:
            if done:
                grown.append((written, score, True))
                continue
            tried = torch.tensor([[*written, token] for token in range(model.architecture.head.outputs)])
            each = log_probabilities(model, prompt, tried, start_token)[:, -1].tolist()
            for token, gained in enumerate(each):
                grown.append(((*written, token), score + gained, token == end_token))
        kept = sorted(grown, key=lambda beam: -beam[1] / len(beam[0]) ** length_penalty)[:beams]
    return kept[0][:2]


@torch.no_grad()
@each_family
@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize("end_token", [None, 2])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_beam_search_with_few_beams_keeps_what_a_plain_loop_keeps(family, beams, end_token, length_penalty):
    for seed in range(3):
        model = model_of(family, vocabulary=6, seed=seed)
        tokens, mask = prompts_of(seed, vocabulary=6)
        kind = {"end_token": end_token, "length_penalty": length_penalty, "start_token": 1}
        found = generate(model, tokens, mask, max_new_tokens=6, beams=beams, **kind)
        for row, length in enumerate(PROMPTS):
            best, score = beam_search(model, tokens[row : row + 1, :length], 6, beams, **kind)
            assert tuple(found.tokens[row, : len(best)].tolist()) == best
            assert int(found.lengths[row]) == len(best)
            assert float(found.scores[row]) == pytest.approx(score, abs=1e-4)


@torch.no_grad()
@each_family
@pytest.mark.parametrize("end_token", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_search_takes_the_likeliest_token_of_the_whole_model_each_time(family, end_token, seed):
    model = model_of(family, vocabulary=6, seed=seed)
    tokens, mask = prompts_of(seed, vocabulary=6)
    found = generate(model, tokens, mask, max_new_tokens=7, end_token=end_token, start_token=5)
    for row, length in enumerate(PROMPTS):
        best, score = beam_search(model, tokens[row : row + 1, :length], 7, 1, end_token, 1.0, 5)
        assert tuple(found.tokens[row, : len(best)].tolist()) == best
        assert all(token == end_token for token in found.tokens[row, len(best) :].tolist())
        assert int(found.lengths[row]) == len(best)
        assert float(found.scores[row]) == pytest.approx(score, abs=1e-4)


@torch.no_grad()
@each_family
@pytest.mark.parametrize("beams", [1, 3])
def test_scores_are_the_log_probabilities_of_what_was_written(family, beams):
    model = model_of(family, vocabulary=20)
    tokens, mask = prompts_of(vocabulary=20)
    found = generate(model, tokens, mask, max_new_tokens=6, end_token=4, beams=beams)
    for row, length in enumerate(PROMPTS):
        written = found.tokens[row : row + 1, : found.lengths[row]]
        expected = log_probabilities(model, tokens[row : row + 1, :length], written).sum()
        torch.testing.assert_close(found.scores[row], expected, atol=1e-4, rtol=1e-4)


@each_family
@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("end_token", [None, 2])
def test_what_is_written_for_one_sequence_depends_on_no_other(family, beams, end_token):
    model = model_of(family, vocabulary=20)
    tokens, mask = prompts_of(vocabulary=20)
    kind = {"max_new_tokens": 6, "end_token": end_token, "beams": beams}
    together = generate(model, tokens, mask, **kind)
    back = generate(model, tokens.flip(0), mask.flip(0), **kind)
    torch.testing.assert_close(back.scores.flip(0), together.scores, atol=1e-4, rtol=1e-4)
    assert torch.equal(back.tokens.flip(0), together.tokens)
    for row, length in enumerate(PROMPTS):
        alone = generate(model, tokens[row : row + 1, :length], **kind)
        count = int(alone.lengths)
        assert together.tokens[row, :count].tolist() == alone.tokens[0, :count].tolist()
        assert int(together.lengths[row]) == count
        torch.testing.assert_close(together.scores[row], alone.scores[0], atol=1e-4, rtol=1e-4)


@each_family
@pytest.mark.parametrize("beams", [1, 3])
def test_generation_ends_once_every_sequence_has_ended(family, beams):
    model = model_of(family, vocabulary=20, likely=1)  # only token 0 is ever written
    tokens, mask = prompts_of(vocabulary=20)
    found = generate(model, tokens, mask, max_new_tokens=6, end_token=0, beams=beams)
    assert found.tokens.tolist() == [[0], [0], [0]]
    assert found.lengths.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("family", "arguments", "field"),
    [
        ("decoder", {"max_new_tokens": 0}, "max_new_tokens"),
        ("encoder-decoder", {"max_new_tokens": -1}, "max_new_tokens"),
        ("decoder", {"max_new_tokens": 2, "beams": 0}, "beams"),
        ("decoder", {"max_new_tokens": 2, "beams": BEAMS + 1}, "beams"),
        ("decoder", {"max_new_tokens": 2, "end_token": BEAMS}, "end_token"),
        ("decoder", {"max_new_tokens": 2, "end_token": -1, "beams": 2}, "end_token"),
        ("encoder-decoder", {"max_new_tokens": 2, "start_token": BEAMS}, "start_token"),
        ("decoder", {"max_new_tokens": 8}, "tokens"),  # 5 + 8 > 12
        ("encoder-decoder", {"max_new_tokens": 13}, "max_new_tokens"),
        ("encoder-decoder", {"max_new_tokens": 2, "tokens": torch.zeros(2, 13, dtype=torch.int64)}, "tokens"),
        ("decoder", {"max_new_tokens": 2, "tokens": torch.zeros(2, 0, dtype=torch.int64)}, "tokens"),
        ("decoder", {"max_new_tokens": 2, "tokens": torch.zeros(5, dtype=torch.int64)}, "tokens"),
    ],
)
def test_what_cannot_be_generated_is_refused_by_name(family, arguments, field):
    arguments = {"tokens": prompts_of()[0], **arguments}
    with pytest.raises(InvalidInput) as refusal:
        generate(model_of(family), **arguments)
    assert [problem.field for problem in refusal.value.problems] == [field]


@each_family
@pytest.mark.parametrize("row", [[0, 0, 1, 1, 1], [1, 0, 1, 1, 1], [0, 0, 0, 0, 0]])
def test_padding_anywhere_but_on_the_right_is_refused(family, row):
    tokens, mask = prompts_of()
    mask[1] = torch.tensor(row, dtype=torch.bool)
    with pytest.raises(InvalidInput, match="pad on the right"):
        generate(model_of(family), tokens, mask, max_new_tokens=2)


@each_family
def test_the_longest_prompt_and_output_that_fit_are_written(family):
    model = model_of(family, vocabulary=20)
    tokens = tokens_of(2, 5 if family == "decoder" else 12, 20)
    new = 7 if family == "decoder" else 12
    assert generate(model, tokens, max_new_tokens=new).tokens.shape == (2, new)
