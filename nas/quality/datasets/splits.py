"""Which split an example stands in: by a hash of what it is about, so that it never moves when others are added."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_ASCII_KEYS = bytes(ord(chr(b).lower()) if chr(b).isascii() and chr(b).isalnum() else ord(" ") for b in range(256))


def split_of(key: str) -> SplitName:
    """Return the split of everything with this key: 80 % train, 10 % validation, 10 % test."""
    digest = hashlib.sha256(key.encode()).digest()
    tenth = int.from_bytes(digest[:8], "big") % 10
    return "test" if tenth == 8 else "validation" if tenth == 9 else "train"


def comparison_key(text: str) -> str:
    """Return what two texts must share to count as one: their letters and digits in lower case, word by word."""
    if text.isascii():  # the same, ten times as fast: most texts of large files
        return b" ".join(text.encode().translate(_ASCII_KEYS).split()).decode()
    return _NOT_ALPHANUMERIC.sub(" ", text.casefold()).strip()
