"""Made-up rows whose truth is known: an additive latency, noise with heavy tails, and whatever a test injects."""

import csv
import io
import random

import numpy as np

COLUMNS = (
    *(
        f"{stack}_{name}"
        for stack in ("encoder", "decoder")
        for name in ("embed_dim", "layer_num", "ffn_embed_dim_avg", "self_attention_heads_avg")
    ),
    "decoder_ende_attention_heads_avg",
    "decoder_arbitrary_ende_attn_avg",
)


def hat_architecture(rng: random.Random, *, wide: bool = True) -> dict[str, float]:
    """Draw averages as HAT's files have them; a small space where not `wide`."""
    layers = rng.randint(1, 6)

    def mean(choices, count):
        return sum(rng.choice(choices) for _ in range(count)) / count

    sizes = (512, 640) if wide else (512,)
    return dict(
        zip(
            COLUMNS,
            (
                rng.choice(sizes),
                6,
                mean((512, 1024, 2048, 3072) if wide else (1024, 2048), 6),
                mean((2, 4, 8) if wide else (4,), 6),
                rng.choice(sizes),
                layers,
                mean((512, 1024, 2048, 3072) if wide else (1024, 2048), layers),
                mean((2, 4, 8) if wide else (4,), layers),
                mean((2, 4, 8) if wide else (4,), layers),
                mean((1, 2, 3) if wide else (1,), layers),
            ),
            strict=True,
        )
    )


def true_ms(row: dict[str, float], scale: float = 1.0) -> tuple[float, float]:
    """Return the encoder's and the decoder's latency: sums of layers, products of sizes, and heads, all written out."""
    e = 20 + 6 * (1.5 + 2e-5 * row["encoder_embed_dim"] * row["encoder_ffn_embed_dim_avg"] / 10)
    layers, d = row["decoder_layer_num"], row["decoder_embed_dim"]
    per_layer = (
        8 + 0.01 * d + 4e-6 * d * row["decoder_ffn_embed_dim_avg"] + 0.3 * row["decoder_self_attention_heads_avg"]
    )
    per_layer += (
        0.4 * row["decoder_ende_attention_heads_avg"]
        + 1.5e-3 * row["decoder_arbitrary_ende_attn_avg"] * row["encoder_embed_dim"]
    )
    return scale * e, scale * (layers * per_layer + 0.05 * d)


def made_up(
    count: int,
    seed: int = 0,
    *,
    noise: float = 0.01,
    outliers: float = 0.02,
    wide: bool = True,
    scale: float = 1.0,
) -> tuple[list[dict[str, float]], np.ndarray]:
    """Return rows and their latencies in ms: noise of Student's t with 3 degrees, a few rows up to 80 % slow."""
    rng, np_rng = random.Random(seed), np.random.default_rng(seed)
    rows = [hat_architecture(rng, wide=wide) for _ in range(count)]
    latencies = np.array([sum(true_ms(row, scale)) for row in rows])
    factors = 1 + noise * np.clip(np_rng.standard_t(3, count), -4, 10)
    slow = np_rng.random(count) < outliers
    factors[slow] *= 1 + 0.8 * np_rng.random(int(slow.sum()))
    return rows, latencies * factors


def hat_csv(rows: list[dict[str, float]], latencies_ms: np.ndarray) -> bytes:
    """Return rows as a CSV file of HAT's form: a fifth of each latency is the encoder's."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, "latency_mean_encoder", "latency_mean_decoder"])
    for row, latency in zip(rows, latencies_ms, strict=True):
        writer.writerow([*row.values(), 0.2 * latency, 0.8 * latency])
    return text.getvalue().encode()
