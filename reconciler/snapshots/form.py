"""The form of a snapshot's file: one JSON document, or JSON lines for very many machines -> typed parts.

A file of lines begins with a header that says how many lines follow, so that a cut one is found. Which form a file
has is seen from its content; on writing the name decides.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import msgspec

from reconciler import encoded, files
from reconciler.errors import Refused, Unreachable

#: Names that end so are written as lines.
LINES = ".jsonl"

#: The largest document, and the longest line of a file of lines, in bytes: more is not read.
LARGEST_DOCUMENT = 1 << 30
LARGEST_LINE = 64 << 20

_HEADER_BYTES = 4096
_AT_ONCE = 256 * 1024

T = TypeVar("T")
D = TypeVar("D", bound="Header")


class Header(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a file says of itself. `format_version` may grow in its minor part; a newer major one is refused. `lines`
    is how many follow, None in a file that is one document; `site` whose ledger it holds."""

    format_version: str = ""
    kind: str = ""
    lines: int | None = None
    site: str = ""


class Sort(NamedTuple):
    """A sort of snapshot: its kind and version, the command that makes it, and the codes for a file that cannot be
    read and for one that is none."""

    kind: str
    version: str
    command: str
    unreadable: str
    wrong: str


def as_lines(path: Path) -> bool:
    """Whether a file of this name is written as JSON lines."""
    return path.suffix == LINES


class SnapshotFile:
    """An open snapshot. `header` is None where it is one document.

    Raises `Unreachable` where it cannot be read, `Refused` where it is not what `sort` says.
    """

    def __init__(self, path: Path, sort: Sort) -> None:
        self._path = path
        self._sort = sort
        try:
            self._file = files.open_regular(path)
            head = self._file.read(_HEADER_BYTES)
        except OSError as error:
            raise self._unreadable(error) from error
        self._head = head.removeprefix(BOM_UTF8)
        self._start = len(head) - len(self._head)
        self.header = self._found_header()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def document(self, kind: type[D]) -> D:
        """The whole file, decoded at once."""
        self._file.seek(self._start)
        data = self._read(LARGEST_DOCUMENT + 1)
        if len(data) > LARGEST_DOCUMENT:
            raise self.refused(f"is larger than {LARGEST_DOCUMENT:,} bytes; write so much as lines (NAME{LINES})")
        try:
            found = encoded.read(data, kind)
        except encoded.Wrong as error:
            self._fits(_header_of(data))
            raise self.refused(f"is not an exported {self._sort.kind.lower()}: {error}") from error
        self._fits(found)
        return found

    def lines(self, kind: type[T]) -> Iterator[list[T]]:
        """The lines after the header, decoded, some hundreds at a time."""
        assert self.header is not None
        self._fits(self.header)
        decoder = encoded.Reader(kind)
        rest, seen = self._head.partition(b"\n")[2], 0
        while True:
            more = self._read(_AT_ONCE)
            whole, _, rest = (rest + more).rpartition(b"\n")
            if whole:
                found = self._decoded(decoder, whole, seen)
                seen += len(found)
                yield found
            if not more:
                break
            if len(rest) > LARGEST_LINE:
                raise self.refused(f"has a line of more than {LARGEST_LINE:,} bytes")
        if rest or seen != self.header.lines:
            cut = ", the last of them truncated" if rest else ""
            raise self.refused(f"should hold {self.header.lines} lines after its header, and holds {seen}{cut}")

    @property
    def newer(self) -> bool:
        """Whether a later minor version wrote the lines: it may have added kinds of lines that are not known here."""
        version = self.header.format_version if self.header is not None else ""
        return version.split(".") != self._sort.version.split(".")

    def refused(self, what: str) -> Refused:
        """The error that the file is not as it should be."""
        remedy = f"Export it again with `reconciler {self._sort.command}`."
        return Refused(self._sort.wrong, f"the file {str(self._path)!r} {what}", remedy, subject=str(self._path))

    def _found_header(self) -> Header | None:
        try:
            header = encoded.read(self._head.partition(b"\n")[0], Header)
        except encoded.Wrong:
            return None
        return header if header.lines is not None else None

    def _fits(self, header: Header) -> None:
        kind, version = self._sort.kind, self._sort.version
        if header.kind != kind or header.format_version.split(".")[0] != version.split(".")[0]:
            said = f"{header.kind or 'of no kind'}, version {header.format_version or 'unknown'}"
            raise self.refused(f"is {said}; {kind} of version {version} is wanted")

    def _decoded(self, decoder: encoded.Reader[T], whole: bytes, before: int) -> list[T]:
        try:
            return decoder.decode_lines(whole)
        except encoded.Wrong as error:
            for number, line in enumerate(whole.split(b"\n"), start=before + 2):
                try:
                    decoder.decode(line)
                except encoded.Wrong as wrong:
                    raise self.refused(f"has a wrong line {number}: {wrong}") from wrong
            raise self.refused(f"has a wrong line: {error}") from error

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> Unreachable:
        what = f"the {self._sort.kind.lower()} {str(self._path)!r} cannot be read: {error.strerror or error}"
        remedy = f"Export one with `reconciler {self._sort.command}`, or correct the path."
        return Unreachable(self._sort.unreadable, what, remedy, subject=str(self._path))


def _header_of(data: bytes) -> Header:
    try:
        return encoded.read(data, Header)
    except encoded.Wrong:
        return Header()


def line(value: object) -> bytes:
    """One value as a line."""
    return msgspec.json.encode(value, order="deterministic") + b"\n"
