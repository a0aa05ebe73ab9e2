"""The child that evaluates rules: questions on stdin -> answers on stdout, one at a time. Private to `parent`.

Run as a script, so that it loads CEL and nothing of the package. The system ends it where an expression takes too long
(an alarm that nobody handles) or too much memory (a limit on its address space); what it was asked then has no answer.
"""

from __future__ import annotations

import pickle
import re
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from cel_expr_python import cel
from google.protobuf.duration_pb2 import Duration

_POSITION = re.compile(r"<input>:(\d+):(\d+): (.*)")
#: How long a text in an answer may be.
_LONGEST = 2000
#: How deep comprehensions may be nested.
_NESTED = 2


def main() -> None:
    variables, seconds, mib = pickle.load(sys.stdin.buffer)
    environment = cel.NewEnv(variables=dict.fromkeys(variables, cel.Type.DYN))
    ready: dict[str, Any] = {}
    for name in ("SIGINT", "SIGBREAK"):  # they are for the parent
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _limit(mib)
    _say(["ready"])
    while True:
        try:
            questions = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        told: dict[int, Any] = {}
        for expression, data in questions:
            _alarm(seconds)
            answer = _answer(environment, ready, expression, data, told)
            _alarm(0)
            _say(answer)


def _answer(
    environment: Any, ready: dict[str, Any], expression: str, data: dict[str, Any] | None, told: dict[int, Any]
) -> list[Any]:
    """[value, shown, error, line, column]; without `data` it is only compiled."""
    try:
        if expression not in ready:
            ready[expression] = _compiled(environment, expression)
        compiled = ready[expression]
        if isinstance(compiled, list) or data is None:
            return compiled if isinstance(compiled, list) else [None, "", ""]
        result = compiled.eval(data={name: _known(value, told) for name, value in data.items()})
        if result.type() == cel.Type.ERROR:
            return [None, "", _cut(str(result.value()).partition(": ")[2] or "it failed")]
        value = result.value()
        kept = _cut(value) if isinstance(value, str) else value if isinstance(value, bool) else None
        return [kept, _cut(repr(value)), ""]
    except MemoryError:
        raise  # it ends this process, which gives back what it took; the parent knows why
    except (RuntimeError, ValueError, TypeError) as error:
        return [None, "", _cut(str(error) or type(error).__name__)]


def _compiled(environment: Any, expression: str) -> Any:
    try:
        compiled = environment.compile(expression)
    except RuntimeError as error:
        found = _POSITION.search(str(error))
        if found is None:
            return [None, "", _cut(str(error)), 1, 1]
        return [None, "", _cut(found[3].split("\n")[0]), int(found[1]), int(found[2])]
    if _nesting(compiled.serialize()) > _NESTED:
        return [None, "", f"comprehensions are nested more than {_NESTED} deep", 1, 1]
    return compiled


# --- Values ----------------------------------------------------------------------------------------------------


def _known(value: Any, told: dict[int, Any]) -> Any:
    """A value as CEL takes it; a document that many questions share is made ready once."""
    if id(value) not in told:
        told[id(value)] = _native(value)
    return told[id(value)]


def _native(value: Any) -> Any:
    if isinstance(value, timedelta):
        duration = Duration()
        duration.FromTimedelta(value)
        return duration
    if isinstance(value, dict):
        return {key: _native(inner) for key, inner in value.items()}
    return [_native(inner) for inner in value] if isinstance(value, list) else value


def _cut(text: str) -> str:
    return text[:_LONGEST].encode("utf-8", "backslashreplace").decode()


# --- How deep comprehensions are nested ------------------------------------------------------------------------

#: Fields of cel.expr.CheckedExpr and cel.expr.Expr (google/cel-spec, proto/cel/expr/{checked,syntax}.proto).
_EXPR, _COMPREHENSION = 4, 9
_RANGE, _ACCUMULATOR, _CONDITION, _STEP, _RESULT = 2, 4, 5, 6, 7
#: Field of an Expr -> the fields of its message that are expressions: operand of a select, target and arguments of a
#: call, elements of a list; entries of a struct hold a key (3) and a value (4).
_INNER = {5: (1,), 6: (1, 3), 7: (1,)}
_STRUCT, _ENTRIES, _KEYS = 8, 2, (3, 4)


def _nesting(serialized: bytes) -> int:
    """How deep the bodies of comprehensions are nested in each other. A range, run through once, does not count."""
    (packed,) = [data for field, data in _fields(serialized) if field == 2]
    return max((_depth(data) for field, data in _fields(packed) if field == _EXPR), default=0)


def _depth(expression: bytes) -> int:
    deepest = 0
    for field, message in _fields(expression):
        if field == _COMPREHENSION:
            for part, inner in _fields(message):
                if part in (_RANGE, _ACCUMULATOR):
                    deepest = max(deepest, _depth(inner))
                elif part in (_CONDITION, _STEP, _RESULT):
                    deepest = max(deepest, 1 + _depth(inner))
        elif field == _STRUCT:
            entries = [entry for part, entry in _fields(message) if part == _ENTRIES]
            inside = [inner for entry in entries for part, inner in _fields(entry) if part in _KEYS]
            deepest = max([deepest, *map(_depth, inside)])
        elif field in _INNER:
            inside = [inner for part, inner in _fields(message) if part in _INNER[field]]
            deepest = max([deepest, *map(_depth, inside)])
    return deepest


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message that are messages, texts or bytes, with their numbers."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 2:
            length, at = _varint(message, at)
            yield tag >> 3, message[at : at + length]
            at += length
        elif tag & 7 == 0:
            _, at = _varint(message, at)
        else:
            at += 8 if tag & 7 == 1 else 4


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


# --- Limits ----------------------------------------------------------------------------------------------------


def _alarm(seconds: float) -> None:
    """Ends this process after so long; 0: not any more. Where the system has no alarms the parent's patience counts."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit(mib: int) -> None:
    """Takes no more memory than now and so much, where the system can hold that; leaves no core behind. On
    Windows the parent does it (`system_calls.limit_memory`)."""
    if sys.platform == "win32":
        return
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        return


def _say(answer: list[Any]) -> None:
    data = msgspec.msgpack.encode(answer)
    sys.stdout.buffer.write(len(data).to_bytes(4, "big") + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
