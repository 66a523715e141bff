"""Waits that end within microseconds of their moment: what trio's own, which are epoll's, round up to milliseconds."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Final

import trio

_MONOTONIC: Final = 1
_NONBLOCK_CLOEXEC: Final = 0o4000 | 0o2000000
_ABSOLUTE: Final = 1
_NS: Final = 1_000_000_000


class _Spec(ctypes.Structure):
    """timerfd_settime(2): an interval, which is none here, and the moment."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class Timer:
    """A timer of `time.perf_counter()`: timerfd on Linux, whose clock that is; trio's sleep elsewhere."""

    def __init__(self) -> None:
        self._spec = _Spec()
        self._descriptor = -1
        if sys.platform == "linux":
            self._c = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._c.timerfd_create(_MONOTONIC, _NONBLOCK_CLOEXEC)

    async def until(self, moment: float) -> None:
        """Wait until then; a moment that has passed is a checkpoint."""
        if moment <= time.perf_counter():
            await trio.lowlevel.checkpoint()
        elif self._descriptor < 0:
            await trio.sleep(moment - time.perf_counter())
        else:
            self._spec.at_s, self._spec.at_ns = divmod(int(moment * _NS), _NS)
            self._c.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(self._spec), None)
            await trio.lowlevel.wait_readable(self._descriptor)

    def close(self) -> None:
        """Let it go."""
        if self._descriptor >= 0:
            trio.lowlevel.notify_closing(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
