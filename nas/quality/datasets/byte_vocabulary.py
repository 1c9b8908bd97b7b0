"""Text as bytes, numbered as in ByT5 (Xue et al. 2021, arXiv 2105.13626): three special tokens, then 256 bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PADDING = 0
END = 1
"""End of text; not used in classification."""
UNKNOWN = 2
"""Never comes from text, since every byte has a token."""
FIRST_BYTE = 3
VOCABULARY_SIZE = FIRST_BYTE + 256


def encode(text: str) -> NDArray[np.int16]:
    """Return the tokens of the UTF-8 bytes of `text`, shape (bytes,)."""
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int16) + FIRST_BYTE


def decode(tokens: NDArray[np.integer]) -> str:
    """Return the text of tokens; special tokens and a character cut in the middle are left out."""
    values = np.asarray(tokens, dtype=np.int64)
    return bytes((values[values >= FIRST_BYTE] - FIRST_BYTE).tolist()).decode("utf-8", errors="ignore")
