# SPDX-License-Identifier: Apache-2.0
"""Sees to it that keys are revoked on every way out of this process.

While any key lives, SIGTERM and SIGHUP, where nobody handles them yet, raise SystemExit as SIGINT
raises KeyboardInterrupt: so `with` blocks unwind.  What still lives at the interpreter's end, a
daemon thread's key for example, is revoked by an atexit hook.  SIGKILL and power cuts are left to
the key's TTL.  A key belongs to the process that issued it: a fork's end does not end it.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Callable, Dict, Optional, Tuple, Type

_lock = threading.RLock()
_live: Dict[int, Tuple[int, Callable[[], None]]] = {}
_next_number = 0
_hooked = False
_replaced: Dict[int, Any] = {}
_deferring = 0
_pending: Optional[int] = None


def _signals() -> Tuple[int, ...]:
    return tuple(int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP")
                 if hasattr(signal, name))


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _on_signal(number: int, frame: Optional[FrameType]) -> None:
    global _pending
    if _deferring:
        _pending = number
        return
    _raise(number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _install() -> None:
    for number in _signals():
        before = signal.getsignal(number)
        if before is signal.SIG_DFL or before is signal.default_int_handler:
            _replaced[number] = before
            signal.signal(number, _on_signal)


def _restore() -> None:
    for number, before in list(_replaced.items()):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, before)
        del _replaced[number]


def watch() -> None:
    """Looks after signals from now on, if that can be done here."""
    if _in_main_thread() and not _replaced:
        _install()


def unwatch() -> None:
    """Lets go of the signals if no key lives any more."""
    if _in_main_thread() and not _live and not _deferring:
        _restore()


class undisturbed:
    """with undisturbed(): ... what a signal must not cut in two.  It is raised at the end."""

    def __enter__(self) -> None:
        global _deferring
        self._main = _in_main_thread()
        if self._main:
            watch()
            _deferring += 1

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        global _deferring, _pending
        if not self._main:
            return
        _deferring -= 1
        number, over = _pending, _deferring == 0
        if over:
            _pending = None
            unwatch()
            if number is not None:
                _raise(number)


def register(revoke: Callable[[], None]) -> int:
    """`revoke` is called at exit unless forget() came first."""
    global _next_number, _hooked
    with _lock:
        _next_number += 1
        _live[_next_number] = (os.getpid(), revoke)
        if not _hooked:
            atexit.register(_at_exit)
            _hooked = True
        return _next_number


def forget(number: int) -> None:
    with _lock:
        _live.pop(number, None)
    unwatch()


def _at_exit() -> None:
    with _lock:
        left = [revoke for pid, revoke in _live.values() if pid == os.getpid()]
        _live.clear()
    for revoke in left:
        revoke()
