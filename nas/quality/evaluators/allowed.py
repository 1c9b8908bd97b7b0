"""Which code a job may name: how a function is written, and the list of those that an operator allows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from nas.errors import InvalidInput

MAX_LENGTH = 200
SETTING = "POCKETFORMER_EVALUATORS"

_WORD = "[A-Za-z_][A-Za-z0-9_]*"
_FUNCTION = re.compile(rf"{_WORD}(\.{_WORD})*:{_WORD}")


def check_function(text: Any, field: str = "") -> str:
    """Return `text` if it is written `package.module:function`; raise `InvalidInput` for `field` otherwise.

    Looks at letters alone: nothing is imported.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH or not _FUNCTION.fullmatch(text):
        raise InvalidInput.of(
            field,
            text,
            f"`package.module:function` of ASCII letters, digits and _, at most {MAX_LENGTH} characters",
            "write it like `mypackage.scoring:evaluate`",
        )
    return text


def allowed_functions(texts: Iterable[str], field: str = "evaluators") -> tuple[str, ...]:
    """Return the functions in an operator's list, each text one or several of them with commas between.

    Raises `InvalidInput` for `field` where one is not written `package.module:function`.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    return tuple(dict.fromkeys(check_function(word, field) for word in words if word))


def check_allowed(function: str, allowed: Collection[str], field: str = "task.evaluator.function") -> None:
    """Raise `InvalidInput` unless the function is, to the letter, one of those that are allowed."""
    if function not in allowed:
        raise InvalidInput.of(
            field,
            function,
            ", ".join(allowed) or "none: no evaluators are allowed here",
            f"ask whoever runs this service to allow it (`nas serve --evaluator {function}` or {SETTING}, for the "
            "workers as well), or run the job on your own machine with `nas search`",
        )
