"""Which job comes first when several wait."""

from __future__ import annotations

from nas.errors import InvalidInput

LEAST, MOST = -100, 100
"""What a job's priority may be; 0 unless a person says otherwise."""


def check_priority(priority: int) -> int:
    """Return `priority`; raise `InvalidInput` outside `LEAST` … `MOST`."""
    if not LEAST <= priority <= MOST:
        raise InvalidInput.of(
            "priority", priority, f"{LEAST} to {MOST}", "the higher, the sooner; 0 is what a job has by itself"
        )
    return priority
