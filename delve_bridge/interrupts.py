"""Ctrl-C, which must not break in between a request to Delve and its answer."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from delve_bridge.rpc import Api


class Interrupts:
    """pressed: how often it was. client: what may be busy. once: seconds in which the next one counts as the same."""

    def __init__(self, client: Api | None = None, once: float = 0.0) -> None:
        self.pressed = 0
        self._once = once
        self._last = 0.0
        self.client = client
        self._wanted = client is not None

    def catch(self) -> None:
        """Takes SIGINT from now on."""
        signal.signal(signal.SIGINT, self._interrupted)

    def _interrupted(self, number: int, frame: Any) -> None:
        last, self._last = self._last, time.monotonic()
        if self._last - last < self._once:
            return
        self.pressed += 1
        if self.client is not None and self.client.busy:
            self.client.cancelled = True
        elif self._wanted:
            raise KeyboardInterrupt

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """What it breaks. Behind it, one more on the heels of the first breaks nothing."""
        self._wanted = True
        self._last = 0.0
        try:
            yield
        finally:
            self._wanted = False
