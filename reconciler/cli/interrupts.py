"""Interrupts: Ctrl-C, SIGTERM and Ctrl-Break -> heard at once wherever a command is, and the process gone in time.

What only looks or waits is cut off where it stands. What is patient (`control.site.Stop.patient`) looks for itself
whether somebody asked, and brings what runs to a safe point; where it does not within some seconds it is cut off too.
To be cut off is safe everywhere: it is what kill -9 does, which the stores and the state are made for.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from reconciler import system_calls

#: How long what is patient may take; when the process is ended whatever it does; the same after a second Ctrl-C. In
#: seconds, from the first signal.
PATIENCE_SECONDS = 6.0
GONE_SECONDS = 9.0
SECOND_SECONDS = 2.0

_CUT_OFF = b"Cut off: it did not come to an end by itself. What was begun is in the journal.\n"
_EXIT = 130


class Stoppable(Protocol):
    """See `control.site.Stop`."""

    def hear(self) -> None: ...
    def ask(self) -> None: ...
    @property
    def is_patient(self) -> bool: ...


@contextmanager
def listening(stop: Stoppable | None = None) -> Iterator[Listener | None]:
    """Until it is left, the signals ask `stop`, and raise `KeyboardInterrupt` unless it is patient. Within another one
    it says whom to ask meanwhile. Does nothing but in the main thread, which is the one that hears signals."""
    global _listener
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    if _listener is not None:
        before, _listener.stop = _listener.stop, stop
        try:
            yield _listener
        finally:
            _listener.stop = before
        return
    _listener = Listener(stop)
    handlers = {number: signal.signal(number, _listener.heard) for number in system_calls.TERMINATING}
    try:
        yield _listener
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _listener.close()
        _listener = None


class Listener:
    """The handler, and a thread that sees to it that the process ends.

    Python's handler runs in the midst of whatever the main thread does, so it takes no lock; and not at all while that
    is in a long call of C (SQLite on a large database, a disk that does not answer). So the system's own handler writes
    each signal into a pair of sockets, which every system can wait for, and the thread at its other end does the rest.
    """

    def __init__(self, stop: Stoppable | None) -> None:
        self.stop = stop
        self.cut_off = False
        self._heard = False
        self._patience_over = False
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        self._earlier = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._main = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="interrupts", daemon=True)
        self._thread.start()

    def heard(self, number: int, frame: FrameType | None) -> None:
        first, self._heard = not self._heard, True
        if self.stop is not None:
            self.stop.hear()
        patient = first and self.stop is not None and self.stop.is_patient
        again = not first and (number == signal.SIGINT or self._patience_over)
        if again or (first and not patient):
            self.cut_off = True
            raise KeyboardInterrupt

    def close(self) -> None:
        """Ends the thread; once a signal was heard it goes on until the process is gone."""
        signal.set_wakeup_fd(self._earlier)
        if self._heard:
            return
        self._write.close()
        self._thread.join()
        self._read.close()

    def _watch(self) -> None:
        if not self._read.recv(1):
            return
        if self.stop is not None:
            self.stop.ask()
        left = GONE_SECONDS
        if not self._waited(PATIENCE_SECONDS):
            return
        if not self._second:
            left -= PATIENCE_SECONDS
            self._patience_over = True
            system_calls.interrupt(self._main)
        else:
            left = SECOND_SECONDS
        if self._waited(left):
            os.write(2, _CUT_OFF)
            os._exit(_EXIT)

    def _waited(self, seconds: float) -> bool:
        """Waits so long, or until there was a second Ctrl-C; False where the command has ended meanwhile."""
        until = time.monotonic() + seconds
        self._second = False
        while (left := until - time.monotonic()) > 0 and not self._second:
            if select.select([self._read], [], [], left)[0]:
                said = self._read.recv(64)
                if not said:
                    return False
                self._second = signal.SIGINT in said
        return True


_listener: Listener | None = None
