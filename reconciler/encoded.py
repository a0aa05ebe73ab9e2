"""Encoded: text in JSON that somebody else wrote, or bytes that a child or a store wrote -> a typed value, or `Wrong`.

The only door: nothing else of the product decodes JSON or msgpack (a test holds that). What is too large, or nested too
deep for what reads it, is refused here, before any of it is believed.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from reconciler.errors import Damaged

#: Lists and objects within each other, at most. What is written by us is nested less than twenty deep.
DEEPEST = 64

#: The largest text, in bytes: no row of a database and no document of ours is larger. Who knows better says so.
LARGEST = 1 << 30

T = TypeVar("T")

#: Of a short text it is told sooner that it has too few brackets to be deep.
_SHORT_BYTES = 16_384
#: Both kinds of brackets are one: where they do not fit, the text is wrong anyhow.
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
#: All but brackets and quotes.
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
#: A string whole, or to the end of a text that is cut within it.
_STRING = re.compile(rb'"[^"]*(?:"|\Z)')
_WRONG = (msgspec.DecodeError, UnicodeError, RecursionError, TypeError)


class Wrong(Damaged):
    """A text that is not what it should be, or is too much of it. Its text says what is wrong, to be put into a
    sentence; whoever knows where the text is from says so instead."""

    def __init__(self, what: str) -> None:
        super().__init__("RCL0024", f"a text cannot be read: {what}", "Restore it, or have it rewritten.")
        self.what = what

    def __str__(self) -> str:
        return self.what


class Reader(Generic[T]):
    """Reads one type. Made once, by one thread: two threads that decode a type for the first time at once can crash
    msgspec 0.22."""

    __slots__ = ("_decoder", "_largest")

    def __init__(self, kind: type[T], largest: int = LARGEST) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._largest = largest

    def decode(self, data: bytes | str) -> T:
        """The value. Raises `Wrong`."""
        try:
            _bounded(data, self._largest)
            return self._decoder.decode(data)
        except _WRONG as error:
            raise _wrong(error) from error

    def decode_lines(self, data: bytes) -> list[T]:
        """The values of lines of JSON. Raises `Wrong`."""
        try:
            _bounded(data, self._largest)
            return self._decoder.decode_lines(data)
        except _WRONG as error:
            raise _wrong(error) from error


class PackedReader(Generic[T]):
    """Reads one type from msgpack, which is only written by us and never deeper than its type; see `Reader`."""

    __slots__ = ("_decoder", "_largest")

    def __init__(self, kind: type[T], largest: int = LARGEST) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._largest = largest

    def decode(self, data: bytes) -> T:
        """The value. Raises `Wrong`."""
        try:
            if len(data) > self._largest:
                raise Wrong(f"it is larger than {self._largest:,} bytes")
            return self._decoder.decode(data)
        except _WRONG as error:
            raise _wrong(error) from error


def read(data: bytes | str, kind: type[T], largest: int = LARGEST) -> T:
    """The text as `kind`. Raises `Wrong`."""
    try:
        _bounded(data, largest)
        return msgspec.json.decode(data, type=kind)
    except _WRONG as error:
        raise _wrong(error) from error


def read_packed(data: bytes) -> Any:
    """What another process of ours packed. Raises `Wrong`."""
    try:
        return msgspec.msgpack.decode(data)
    except _WRONG as error:
        raise _wrong(error) from error


def plain(value: Any) -> Any:
    """The value as JSON has it: lists, objects, texts, numbers."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _wrong(error: BaseException) -> Wrong:
    if isinstance(error, RecursionError):
        return Wrong("it is nested too deep")
    return Wrong(str(error))


def _bounded(data: bytes | str, largest: int) -> None:
    """Raises `Wrong` where the text is too large, or nested too deep."""
    if len(data) > largest:
        raise Wrong(f"it is larger than {largest:,} bytes")
    text = data.encode() if isinstance(data, str) else data
    if (len(text) > _SHORT_BYTES or text.count(b"[") + text.count(b"{") > DEEPEST) and _too_deep(text):
        raise Wrong(f"its lists and objects are nested more than {DEEPEST} deep")


def _too_deep(text: bytes) -> bool:
    """By brackets alone, and those in strings do not count; each step is one pass in C. Of a text that ends or goes
    wrong on the way it tells roughly, which is enough: it is refused by who decodes it."""
    text = _ESCAPED.sub(b"", text)
    marks = text.translate(_ONE_KIND, _OTHERS).replace(b'""', b"")
    # A bracket in a string stands between two odd runs of quotes, so one of them is left.
    if b'"' in marks:
        marks = _STRING.sub(b"", text).translate(_ONE_KIND, _OTHERS)
    for _ in range(DEEPEST):
        before = len(marks)
        marks = marks.replace(b"[]", b"")  # one level of all that is closed
        if len(marks) == before:
            return before - len(marks.lstrip(b"[")) > DEEPEST
    return bool(marks)
