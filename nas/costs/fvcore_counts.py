"""Multiply-adds counted by fvcore, with the operators that it does not know counted by hand-derived rules.

fvcore has no rule for `aten::scaled_dot_product_attention`: it would warn and count 0. Any matmul-class operator
that is still uncounted is an error here, never a warning.
"""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape

from nas.errors import UncountedOperator

# Operators that multiply matrices, by the names aten gives them; element-wise ones are left out as fvcore does
_MATMUL_CLASS = re.compile(
    r"matmul|\bmm\b|bmm|addmm|addmv|\bmv\b|dot|einsum|linear|conv|attention|mha|rnn|lstm|gru|bilinear|cdist|kron|fft"
)
_NOT_MATMUL = {"aten::linalg_vector_norm", "aten::linspace"}


def count_macs(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Return the multiply-adds of one forward pass (layer norm included, as fvcore counts it: 5 an element).

    Raises `UncountedOperator` if an operator that multiplies matrices has no rule.
    """
    module.eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch.jit.trace warns of Python values in shapes: they are meant
        analysis = FlopCountAnalysis(module, inputs)
        analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_macs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
        total = analysis.total()
        unsupported = set(analysis.unsupported_ops()) - _NOT_MATMUL
    uncounted = sorted(name for name in unsupported if _MATMUL_CLASS.search(name.removeprefix("aten::")))
    if uncounted:
        raise UncountedOperator(
            f"fvcore has no rule for {', '.join(uncounted)}: register one in nas/costs/fvcore_counts.py"
        )
    if total != int(total):
        raise UncountedOperator(f"fvcore gave {total} multiply-adds, which is not a whole number")
    return int(total)


def _attention_macs(inputs: list[Any], _outputs: list[Any]) -> int:
    """Q Kᵀ and its product with V: B·H·T·S·(E + E_v) for queries (B, H, T, E), values (…, S, E_v)."""
    b, h, t, e = get_shape(inputs[0])
    s, e_v = get_shape(inputs[2])[-2:]
    return b * h * t * s * (e + e_v)  # type: ignore[no-any-return]


logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
