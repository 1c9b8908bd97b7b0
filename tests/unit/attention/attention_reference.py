"""Every attention type written out from its paper's formula: one token, head and channel at a time, nothing fused.

A reference takes a module's weights, the tokens of ONE sequence (T, D) without padding, and returns (T, D); of
cross-attention, also the memory (S, D').
"""

import math

import torch

ROTARY_BASE = 10_000.0


def affine(layer, x):
    """One linear layer: W x + b for each row of x."""
    rows = [layer.weight @ row for row in x]
    return torch.stack(rows if layer.bias is None else [row + layer.bias for row in rows])


def rotated(vector, position):
    """RoFormer, equation 15, with dimensions i and i + E/2 a pair."""
    half = len(vector) // 2
    out = vector.clone()
    for i in range(half):
        angle = position * ROTARY_BASE ** (-2 * i / len(vector))
        a, b = vector[i], vector[i + half]
        out[i] = a * math.cos(angle) - b * math.sin(angle)
        out[i + half] = a * math.sin(angle) + b * math.cos(angle)
    return out


def phi(x):
    """Katharopoulos et al., equation 7: elu(x) + 1."""
    return torch.where(x > 0, x + 1, torch.exp(x))


def softmax_weights(q, keys):
    scores = torch.stack([torch.exp(q @ key / math.sqrt(len(q))) for key in keys])
    return scores / scores.sum()


def linear_weights(q, keys):
    scores = torch.stack([phi(q) @ phi(key) for key in keys])
    return scores / scores.sum()


def attended(q, k, v, *, heads, key_value_heads, sees, weigh, rotary=False):
    """Q (T, H·E), K and V (S, K·E) → (T, H·E): each head of each token the weighted sum of the values it sees."""
    e = q.shape[1] // heads
    out = torch.zeros_like(q)
    for h in range(heads):
        g = h * key_value_heads // heads
        queries = [row[h * e : (h + 1) * e] for row in q]
        keys = [row[g * e : (g + 1) * e] for row in k]
        values = [row[g * e : (g + 1) * e] for row in v]
        if rotary:
            queries = [rotated(row, i) for i, row in enumerate(queries)]
            keys = [rotated(row, j) for j, row in enumerate(keys)]
        for i, query in enumerate(queries):
            seen = [j for j in range(len(keys)) if sees(i, j)]
            weights = weigh(query, [keys[j] for j in seen])
            out[i, h * e : (h + 1) * e] = sum(w * values[j] for w, j in zip(weights, seen, strict=True))
    return out


def split(x, heads, key_value_heads):
    """(T, H·E + 2·K·E) → Q, K, V."""
    e = x.shape[1] // (heads + 2 * key_value_heads)
    return x[:, : heads * e], x[:, heads * e : (heads + key_value_heads) * e], x[:, (heads + key_value_heads) * e :]


def softmax(module, x, site, choices, weigh=softmax_weights):
    heads = choices["heads"]
    shared, window = choices.get("key_value_heads", heads), choices.get("window", len(x))

    def sees(i, j):
        return 0 <= i - j < window if site.causal else abs(i - j) < window

    q, k, v = split(affine(module.qkv, x), heads, shared)
    options = {"heads": heads, "key_value_heads": shared, "sees": sees, "weigh": weigh, "rotary": site.rotary}
    return affine(module.output, attended(q, k, v, **options))


def linear(module, x, site, choices):
    return softmax(module, x, site, choices, weigh=linear_weights)


def low_rank(module, x, site, choices):
    q, k, v = split(affine(module.qkv, x), choices["heads"], choices["heads"])
    mixed_keys = torch.zeros(choices["rank"], k.shape[1])
    mixed_values = torch.zeros(choices["rank"], v.shape[1])
    for r in range(choices["rank"]):
        for t in range(len(x)):
            mixed_keys[r] += module.key_mixtures.weight[r, t] * k[t]
            mixed_values[r] += module.value_mixtures.weight[r, t] * v[t]
    heads = choices["heads"]
    return affine(
        module.output,
        attended(
            q,
            mixed_keys,
            mixed_values,
            heads=heads,
            key_value_heads=heads,
            sees=lambda i, r: True,
            weigh=softmax_weights,
        ),
    )


def convolved(u, kernels, bias, causal):
    """Depthwise convolution of u (T, C) by kernels (C, W): the kernel's last weight, or its middle one, is the
    token's own."""
    out = torch.zeros_like(u)
    width = kernels.shape[1]
    own = width - 1 if causal else (width - 1) // 2
    for t in range(len(u)):
        for c in range(u.shape[1]):
            for w in range(width):
                if 0 <= t + w - own < len(u):
                    out[t, c] += kernels[c, w] * u[t + w - own, c]
    return out if bias is None else out + bias


def gated_convolution(module, x, site, choices):
    d = x.shape[1]
    projected = affine(module.input, x)
    b, c, value = projected[:, :d], projected[:, d : 2 * d], projected[:, 2 * d :]
    kernels = module.convolution.weight[:, 0]
    return affine(module.output, c * convolved(b * value, kernels, module.convolution.bias, site.causal))


def long_short(module, x, site, choices):
    half = x.shape[1] // 2
    long = softmax(module.long, x[:, :half], site, {"heads": choices["heads"]})
    projected = affine(module.short.input, x[:, half:])
    gated = projected[:, :half] / (1 + torch.exp(-projected[:, half:]))
    kernels = torch.zeros(half, choices["kernel_size"])
    for channel in range(half):
        shared = torch.exp(module.short.weight[channel * choices["heads"] // half])
        kernels[channel] = shared / shared.sum()
    short = affine(module.short.output, convolved(gated, kernels, None, site.causal))
    return torch.cat([long, short], dim=1)


def cross(module, x, memory, choices, weigh=softmax_weights):
    heads = choices["heads"]
    q, both = affine(module.query, x), affine(module.key_value, memory)
    k, v = both[:, : both.shape[1] // 2], both[:, both.shape[1] // 2 :]
    options = {"heads": heads, "key_value_heads": choices.get("key_value_heads", heads), "weigh": weigh}
    return affine(module.output, attended(q, k, v, sees=lambda i, j: True, **options))


def linear_cross(module, x, memory, choices):
    return cross(module, x, memory, choices, weigh=linear_weights)


SELF = {
    "softmax": softmax,
    "grouped-query": softmax,
    "linear": linear,
    "local": softmax,
    "long-short": long_short,
    "gated-convolution": gated_convolution,
    "low-rank": low_rank,
}
CROSS = {"softmax": cross, "grouped-query": cross, "linear": linear_cross}
