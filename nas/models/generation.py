"""Generation: greedy and beam search with cached decoding, for decoders and encoder–decoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas.errors import InvalidInput
from nas.models.decoder import DecoderModel
from nas.models.encoder_decoder import EncoderDecoderModel, Source

_Step = Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]]


@dataclass(frozen=True)
class Generated:
    """What was written."""

    tokens: Tensor
    """(B, at most `max_new_tokens`) int64; after the end token of a sequence, the end token again."""
    lengths: Tensor
    """(B,) int64: tokens written, the end token included."""
    scores: Tensor
    """(B,): the sum of the log-probabilities of the tokens written, in nats."""


@dataclass(frozen=True)
class _Start:
    """Where generation starts: the logits of the first new token, its position, the state and how to go on."""

    logits: Tensor
    position: Tensor
    state: Any
    step: _Step


def generate(
    model: DecoderModel | EncoderDecoderModel,
    tokens: Tensor,
    padding_mask: Tensor | None = None,
    *,
    max_new_tokens: int,
    end_token: int | None = None,
    start_token: int = 0,
    beams: int = 1,
    length_penalty: float = 1.0,
) -> Generated:
    """Write up to `max_new_tokens` tokens after the prompts (decoder) or for the sources (encoder–decoder), (B, T).

    Sequences are padded on the right, `padding_mask` True at real tokens. With one beam each token is the likeliest;
    with more, the `beams` likeliest beginnings are kept and the one of the best mean log-probability (over
    length^`length_penalty`; Wu et al. 2016, arXiv 1609.08144, section 7, without its coverage term) is returned.
    `start_token` opens the output of an encoder–decoder. Raises `InvalidInput` where a length does not fit the model.
    """
    _check(model, tokens, padding_mask, max_new_tokens, beams)
    _check_tokens(model.architecture.head.outputs, start_token=start_token, end_token=end_token)
    with torch.no_grad():
        start = _start(model, tokens, padding_mask, max_new_tokens, start_token)
        if beams == 1:
            return _greedy(start, max_new_tokens, end_token)
        return _beam(start, max_new_tokens, end_token, beams, length_penalty)


def _check(
    model: DecoderModel | EncoderDecoderModel, tokens: Tensor, mask: Tensor | None, new: int, beams: int
) -> None:
    a = model.architecture
    if new < 1 or beams < 1:
        name, value = ("max_new_tokens", new) if new < 1 else ("beams", beams)
        raise InvalidInput.of(name, value, "at least 1", "ask for one or more")
    if tokens.dim() != 2 or tokens.shape[1] < 1:
        raise InvalidInput.of("tokens", list(tokens.shape), "(B, T) with T at least 1", "give every sequence a token")
    if mask is not None and (mask.shape != tokens.shape or not _pads_on_the_right(mask)):
        allowed = f"{list(tokens.shape)}, in each row True at the first tokens, at least one, and False after them"
        raise InvalidInput.of("padding_mask", list(mask.shape), allowed, "pad on the right")
    longest, room = tokens.shape[1], a.max_length - (new if a.family == "decoder" else 0)
    if longest > room:
        words = f"{a.max_length} less the {new} new ones" if a.family == "decoder" else f"{a.max_length}"
        raise InvalidInput.of("tokens", f"{longest} tokens", f"at most {words}", "shorten the input")
    if a.max_output_length is not None and new > a.max_output_length:
        raise InvalidInput.of("max_new_tokens", new, f"at most {a.max_output_length}", "ask for fewer")
    if beams > a.head.outputs:
        raise InvalidInput.of("beams", beams, f"at most the vocabulary ({a.head.outputs})", "ask for fewer")


def _pads_on_the_right(mask: Tensor) -> bool:
    """Return whether each row of a mask (B, T) begins with a real token, and none follows a padded one."""
    return bool(mask[:, 0].all()) and not bool((mask[:, 1:] & ~mask[:, :-1]).any())


def _check_tokens(vocabulary: int, **special: int | None) -> None:
    for name, token in special.items():
        if token is not None and not 0 <= token < vocabulary:
            raise InvalidInput.of(name, token, f"0 to {vocabulary - 1}", "name a token of the output's vocabulary")


def _start(
    model: DecoderModel | EncoderDecoderModel, tokens: Tensor, mask: Tensor | None, new: int, start_token: int
) -> _Start:
    batch, length = tokens.shape
    if isinstance(model, DecoderModel):
        logits, state = model.prefill(tokens, mask, length + new)
        lengths = torch.full((batch,), length, device=tokens.device) if mask is None else mask.sum(dim=1)
        return _Start(logits, lengths, state, model.step)
    source = model.encode(tokens, mask)

    def step(newest: Tensor, position: Tensor, state: Any) -> tuple[Tensor, Any]:
        caches, read = state
        logits, caches = model.step(newest, position, caches, read)
        return logits, (caches, read)

    first = torch.full((batch,), start_token, dtype=torch.int64, device=tokens.device)
    nothing = torch.zeros_like(first)
    logits, state = step(first, nothing, (model.empty_state(batch, new), source))
    return _Start(logits, nothing + 1, state, step)


def _greedy(start: _Start, new: int, end_token: int | None) -> Generated:
    logits, state = start.logits, start.state
    batch, device = logits.shape[0], logits.device
    done = torch.zeros(batch, dtype=torch.bool, device=device)
    lengths, scores = torch.zeros(batch, dtype=torch.int64, device=device), torch.zeros(batch, device=device)
    written: list[Tensor] = []
    while True:
        score, token = logits.log_softmax(dim=-1).max(dim=-1)
        if end_token is not None:
            token = torch.where(done, end_token, token)
        scores, lengths = scores + torch.where(done, 0.0, score), lengths + ~done
        written.append(token)
        if end_token is not None:
            done = done | (token == end_token)
        if len(written) == new or bool(done.all()):
            return Generated(torch.stack(written, dim=1), lengths, scores)
        logits, state = start.step(token, start.position + len(written) - 1, state)


def _beam(start: _Start, new: int, end_token: int | None, beams: int, length_penalty: float) -> Generated:
    batch, vocabulary = start.logits.shape
    device = start.logits.device
    rows = torch.arange(batch, device=device).repeat_interleave(beams)  # (B·K,): sequence b's beams stand together
    state, position = _rows(start.state, rows), start.position[rows]
    logits = start.logits[rows]
    # All beams of a sequence start alike: only the first of them counts until they differ
    scores = torch.full((batch, beams), float("-inf"), device=device)
    scores[:, 0] = 0.0
    lengths = torch.zeros(batch, beams, dtype=torch.int64, device=device)
    done = torch.zeros(batch, beams, dtype=torch.bool, device=device)
    written = torch.zeros(batch, beams, 0, dtype=torch.int64, device=device)
    while True:
        ahead = logits.log_softmax(dim=-1).view(batch, beams, vocabulary)
        if end_token is not None:  # a finished beam goes on with the end token, at no cost
            only_end = torch.full((vocabulary,), float("-inf"), device=device)
            only_end[end_token] = 0.0
            ahead = torch.where(done.unsqueeze(-1), only_end, ahead)
        total = scores.unsqueeze(-1) + ahead  # (B, K, V)
        length_after = (lengths + ~done).unsqueeze(-1)
        ranked = total / length_after.to(total.dtype).pow(length_penalty)
        _, best = ranked.view(batch, -1).topk(beams, dim=-1)
        parent, token = best // vocabulary, best % vocabulary
        scores = total.view(batch, -1).gather(1, best)
        lengths = length_after.squeeze(-1).gather(1, parent)
        done = done.gather(1, parent)
        written = torch.cat([written.gather(1, parent.unsqueeze(-1).expand_as(written)), token.unsqueeze(-1)], dim=-1)
        if end_token is not None:
            done = done | (token == end_token)
        if written.shape[-1] == new or bool(done.all()):
            return _likeliest(written, lengths, scores, length_penalty)
        state = _rows(state, (torch.arange(batch, device=device).unsqueeze(1) * beams + parent).view(-1))
        logits, state = start.step(token.view(-1), position + written.shape[-1] - 1, state)


def _likeliest(written: Tensor, lengths: Tensor, scores: Tensor, length_penalty: float) -> Generated:
    best = (scores / lengths.to(scores.dtype).pow(length_penalty)).argmax(dim=1)
    every = torch.arange(len(best), device=best.device)
    lengths = lengths[every, best]
    return Generated(written[every, best][:, : int(lengths.max())], lengths, scores[every, best])


def _rows(state: Any, rows: Tensor) -> Any:
    """Return a state of which row i is row `rows[i]` of the given one."""
    match state:
        case Tensor():
            return state.index_select(0, rows)
        case tuple():
            return tuple(_rows(part, rows) for part in state)
        case Source():
            return Source(_rows(state.prepared, rows), _rows(state.mask, rows))
    return state
