"""Questions -> answers from the child: one for each process that asks, started when first asked, anew when it ended.

An expression over a limit has no answer, and for a while is not tried again. docs/adr/0014 says why a child.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from reconciler import encoded, system_calls
from reconciler.protocols import Answer, Question

#: What the expressions can name.
VARIABLES = ("object", "oldObject", "change", "params")

#: The limits: bytes of an expression in UTF-8, seconds and MiB of one evaluation.
LARGEST_EXPRESSION = 4096
SECONDS_AT_MOST = 2.0
MIB_AT_MOST = 256

#: How much longer the parent waits than the child's own alarm, for systems without alarms; and for the child's start.
_PATIENCE_SECONDS = 10.0
_START_SECONDS = 60.0
#: How many questions are sent together, and how often a child is started anew for those of one call.
_TOGETHER = 20_000
_STARTS = 5
#: How long an expression that was over a limit is not tried again, in seconds.
_FORGETTING_SECONDS = 600.0

_LOST = "the process that evaluates rules cannot be started"


class BadExpression(Exception):
    """An expression that does not compile: what is wrong, and at which line and column of it (from 1)."""

    def __init__(self, what: str, line: int = 1, column: int = 1) -> None:
        super().__init__(what)
        self.what, self.line, self.column = what, line, column


class _Reply(msgspec.Struct, array_like=True):
    """An answer as it comes from the child."""

    value: bool | str | None = None
    shown: str = ""
    error: str = ""
    line: int = 1
    column: int = 1


_LONGEST_REPLY = 1 << 20
_REPLY = encoded.PackedReader(_Reply, _LONGEST_REPLY)


class _Ended(Exception):
    """The child ended, or was ended, before it answered; the text says why."""


class _Child:
    """The process. Every answer is read as it comes, so that the question that ends it is known."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("child.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._limit: object = None
        self._rest = b""
        try:
            self._send((VARIABLES, SECONDS_AT_MOST, MIB_AT_MOST))
            self._reply(_START_SECONDS)
            self._limit = system_calls.limit_memory(self._process, MIB_AT_MOST)
        except BaseException:
            self.end()
            raise

    def ask(self, questions: Sequence[tuple[str, dict[str, Any] | None]]) -> Iterator[_Reply]:
        """The answers, in order. Raises `_Ended` instead of the one that the child did not give."""
        self._send(questions)
        for _ in questions:
            data = self._reply(SECONDS_AT_MOST + _PATIENCE_SECONDS)
            try:
                yield _REPLY.decode(data)
            except encoded.Wrong as error:
                raise _Ended(f"its answer cannot be read: {error}") from error

    def end(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()

    def _send(self, value: object) -> None:
        data = memoryview(pickle.dumps(value, protocol=5))
        assert self._process.stdin is not None
        try:
            while data:
                data = data[self._process.stdin.write(data) or 0 :]
        except OSError:
            raise _Ended(self._why()) from None

    def _reply(self, patience: float) -> bytes:
        while True:
            length = int.from_bytes(self._rest[:4], "big")
            if length > _LONGEST_REPLY:
                raise _Ended(f"its answer is larger than {_LONGEST_REPLY:,} bytes")
            if len(self._rest) >= 4 and len(self._rest) >= 4 + length:
                data, self._rest = self._rest[4 : 4 + length], self._rest[4 + length :]
                return data
            assert self._process.stdout is not None
            if not system_calls.wait_readable(self._process.stdout.fileno(), patience):
                raise _Ended(_too_long())
            more = os.read(self._process.stdout.fileno(), 1 << 16)
            if not more:
                raise _Ended(self._why())
            self._rest += more

    def _why(self) -> str:
        """Why the child ended by itself: the alarm (14), or memory that it did not get."""
        code = self._process.wait()
        return _too_long() if code == -14 else f"it takes more than {MIB_AT_MOST} MiB of memory"


def _too_long() -> str:
    return f"it takes longer than {SECONDS_AT_MOST:g} s"


class _Asking:
    """The child that this process has, and the expressions that were over a limit."""

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._over: dict[tuple[str, bool], tuple[float, str]] = {}
        self._lock = threading.Lock()

    def replies(self, questions: Sequence[tuple[str, dict[str, Any] | None]]) -> list[_Reply]:
        """A reply to each, in order."""
        with self._lock:
            return self._replies(questions)

    def _replies(self, questions: Sequence[tuple[str, dict[str, Any] | None]]) -> list[_Reply]:
        found: list[_Reply] = []
        starts = 0
        while len(found) < len(questions):
            if (why := self._known(*questions[len(found)])) or starts > _STARTS:
                found.append(_Reply(error=why or "too many rules before it were over a limit"))
                continue
            some: list[tuple[str, dict[str, Any] | None]] = []
            for question in questions[len(found) : len(found) + _TOGETHER]:
                if self._known(*question):
                    break
                some.append(question)
            starts += self._child is None
            try:
                self._child = self._child or _Child()
            except (OSError, _Ended) as error:
                return [*found, *[_Reply(error=f"{_LOST}: {error}")] * (len(questions) - len(found))]
            try:
                found.extend(self._child.ask(some))  # what came before the child ended stays
            except _Ended as ended:
                expression, data = questions[len(found)]
                self._over[expression, data is None] = (time.monotonic(), str(ended))
                self.end()
            except BaseException:
                # Interrupted in between: what the child says next would be taken for the answer to something else.
                self.end()
                raise
        return found

    def _known(self, expression: str, data: object) -> str:
        """Why the expression is not tried; "" where it is. One that takes too much still compiles."""
        if len(expression.encode("utf-8", "surrogatepass")) > LARGEST_EXPRESSION:
            return f"it is longer than {LARGEST_EXPRESSION} bytes"
        at, why = self._over.get((expression, data is None), (0.0, ""))
        return why if why and time.monotonic() - at < _FORGETTING_SECONDS else ""

    def end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


_asking = _Asking()
atexit.register(_asking.end)


def evaluate(questions: Sequence[Question]) -> list[Answer]:
    """See `protocols.Evaluate`."""
    replies = _asking.replies([(each.expression, dict(each.data)) for each in questions])
    return [Answer(each.value, each.shown, each.error) for each in replies]


def check(expressions: Sequence[str]) -> list[BadExpression | None]:
    """What is wrong with each of them; None for one that may be evaluated."""
    replies = _asking.replies([(each, None) for each in expressions])
    return [BadExpression(each.error, each.line, each.column) if each.error else None for each in replies]


def close() -> None:
    """Ends the child; the next question starts another."""
    _asking.end()
