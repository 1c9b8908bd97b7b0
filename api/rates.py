"""How often each key may call."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from nas.errors import QuotaExceeded


class Rates:
    """How often each key calls: a bucket of tokens each, that fills over a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens left, and when that was
        self._lock = threading.Lock()

    def take(self, key_id: str, per_minute: int) -> None:
        """Take a token; raise `QuotaExceeded` where there is none. 0 a minute means any number."""
        if not per_minute:
            return
        with self._lock:
            now = self._clock()
            left, then = self._buckets.get(key_id, (float(per_minute), now))
            left = min(float(per_minute), left + (now - then) * per_minute / 60)
            if left >= 1:
                self._buckets[key_id] = (left - 1, now)
                return
        wait_s = (1 - left) * 60 / per_minute
        text = f"The key {key_id} may send {per_minute} requests a minute: wait {wait_s:.1f} s."
        raise QuotaExceeded(text, retry_after_s=math.ceil(wait_s))
