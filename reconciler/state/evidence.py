"""Evidence in a folder: records as lines of JSON in segment files, each naming the line before it.

Only whole lines are a part of the chain. What a process that died left of a line is put aside by the next one.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from reconciler import encoded, files, system_calls
from reconciler.errors import Damaged, TemporaryError
from reconciler.model import EvidenceKind, Record, record_line
from reconciler.state.anchor import SIGNATURE, SUMS, check_extends, read_sums, sum_of, sums_text

#: A segment that has grown to this size, in bytes, gets no more records.
SEGMENT_BYTES = 16 * 2**20

#: No record is longer (bytes): one of a step with 100,000 members has 10 MiB.
LONGEST_LINE = 64 * 2**20

_SEGMENT = re.compile(r"\d{6}\.jsonl")
_FIRST = "000001.jsonl"
_CHUNK = 64 * 1024


class Place(NamedTuple):
    """A line of a segment; lines count from 1. `line` has its newline, where there is one."""

    path: Path
    number: int
    line: bytes


class End(NamedTuple):
    """Where the chain ends: in which segment, how long that is in bytes, and the last record's number and hash."""

    path: Path
    size: int
    seq: int
    head: str


class EvidenceFolder:
    """See `protocols.Evidence`. The folder is made with the first record.

    Processes and threads take turns by a lock on the file `lock`. The end of the chain is read again whenever
    another one has written.
    """

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._end: End | None = None

    @classmethod
    def of(cls, database: Path) -> EvidenceFolder:
        """The evidence of the site whose state database this is: the folder beside it."""
        return cls(database.with_suffix(".evidence"))

    def segments(self) -> list[Path]:
        """The segment files, oldest first."""
        return sorted(path for path in self.folder.glob("*.jsonl") if _SEGMENT.fullmatch(path.name))

    def append(
        self,
        kind: EvidenceKind,
        at: datetime,
        run: str,
        body: dict[str, Any],
        check: Callable[[End], None] = lambda end: None,
    ) -> Record:
        """See `protocols.Evidence`. `check` is shown where the chain ends before anything is written there, and refuses
        by raising."""
        try:
            if not self.folder.exists():
                check(_beginning(self.folder))
            files.make_folder(self.folder)
            with self.locked():
                return self._append(kind, at, run, body, check)
        except OSError as error:
            self._end = None
            what = f"the evidence cannot be written in {self.folder}: {error.strerror or error}"
            remedy = "Free space, or check the disk; the chain is as it was before. Then run the command again."
            raise TemporaryError("RCL5021", what, remedy, subject=str(self.folder)) from error

    def records(self, holding: str = "") -> Iterator[Record]:
        word = holding.encode()
        for place in self.lines():
            if word not in place.line or not place.line.endswith(b"\n"):
                continue
            try:
                yield encoded.read(place.line, Record)
            except encoded.Wrong as error:
                what = f"{place.path}:{place.number} is not a record: {error}"
                raise Damaged("RCL5020", what, "Keep the folder as it is, and compare it with a copy.") from error

    def lines(self) -> Iterator[Place]:
        """Every line of every segment, oldest first. Raises `Damaged`, RCL5020, for one that is longer than any record
        can be."""
        for path in self.segments():
            with files.open_regular(path) as handle:
                for number, line in enumerate(iter(partial(handle.readline, LONGEST_LINE + 1), b""), start=1):
                    if len(line) > LONGEST_LINE:
                        raise _too_long(path, number)
                    yield Place(path, number, line)

    def seal(self, sign: Callable[[bytes], bytes] | None = None) -> dict[str, bytes]:
        """Closes the last segment, and writes the anchor over all of them, signed where `sign` is given; returns what
        was written, by name. A signature of an older anchor goes. Raises `Damaged`, RCL5025, where a segment is not as
        the anchor before has it."""
        files.make_folder(self.folder)
        with self.locked():
            segments = self.segments()
            if segments and not self._sealed(segments[-1]):
                self._put_torn_aside(segments[-1])
            written = self.anchor(sign)
            if (self.folder / SIGNATURE).exists():
                files.unlink(self.folder / SIGNATURE)
            for name, data in written.items():
                files.write_whole(self.folder / name, data)
            return written

    def anchor(self, sign: Callable[[bytes], bytes] | None = None) -> dict[str, bytes]:
        """The anchor over all segments as they are, as `seal` would write it. Writes nothing."""
        sums = {path.name: sum_of(path) for path in self.segments() if path.stat().st_size}
        check_extends(read_sums(self.folder / SUMS), sums, self.folder)
        written = {SUMS: sums_text(sums)}
        if sign is not None:
            written[SIGNATURE] = sign(written[SUMS])
        return written

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else appends or seals meanwhile. The folder must be there."""
        descriptor = system_calls.open_file(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            system_calls.lock(descriptor, wait=True)
            yield
        finally:
            os.close(descriptor)

    def end(self) -> End:
        """Where the chain ends. Changes nothing: bytes after the last whole line do not count."""
        segments = self.segments()
        if not segments:
            return _beginning(self.folder)
        last = segments[-1]
        if self._end is not None and (self._end.path, self._end.size) == (last, last.stat().st_size):
            return self._end
        return End(last, last.stat().st_size, *_last_record(segments))

    def hash_of(self, seq: int) -> str:
        """The hash of the record with this number, looked for from the end; "" where there is none."""
        for segment in reversed(self.segments()):
            for line in _backwards(segment):
                bare = line.removesuffix(b"\n")
                with suppress(encoded.Wrong):
                    found = encoded.read(bare, Record).seq
                    if found <= seq:
                        return sha256(bare).hexdigest() if found == seq else ""
        return ""

    def after(self, seq: int) -> Iterator[Record]:
        """The records that read after this number, newest first."""
        for segment in reversed(self.segments()):
            for line in _backwards(segment):
                with suppress(encoded.Wrong):
                    found = encoded.read(line, Record)
                    if found.seq <= seq:
                        return
                    yield found

    # --- Writing -----------------------------------------------------------------------------------------

    def _append(
        self, kind: EvidenceKind, at: datetime, run: str, body: dict[str, Any], check: Callable[[End], None]
    ) -> Record:
        end = self._find_end()
        check(end)
        aside = sorted(self.folder.glob("torn-*.new"))
        if aside:
            body = body | {"setAside": [_told(path) for path in aside]}
        record = Record(end.seq + 1, end.head, at, kind, run, body)
        line = record_line(record)
        if len(line) >= LONGEST_LINE:
            raise OSError(errno.EFBIG, f"a record of {len(line):,} bytes is too long")
        self._write(end, line + b"\n")
        self._end = End(end.path, end.size + len(line) + 1, record.seq, sha256(line).hexdigest())
        for path in aside:
            with suppress(OSError):  # the record is written; the next one tells of it again
                files.rename(path, path.with_suffix(""))
        return record

    def _write(self, end: End, data: bytes) -> None:
        """Appends to the segment, durably. Where that fails, what got there is taken away again."""
        files.announce("write", end.path)
        descriptor = system_calls.open_file(end.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            files.fsync(descriptor, end.path)
            if not end.size:
                files.fsync_folder(self.folder)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, end.size)
            raise
        finally:
            os.close(descriptor)

    def _find_end(self) -> End:
        """Where the next record goes. Bytes after the last newline are put aside first."""
        segments = self.segments()
        if not segments:
            return _beginning(self.folder)
        last = segments[-1]
        end = self._end
        if end is None or (end.path, end.size) != (last, last.stat().st_size):
            if not self._sealed(last):
                self._put_torn_aside(last)
            end = End(last, last.stat().st_size, *_last_record(segments))
        if end.size and (end.size >= self._segment_bytes or self._sealed(last)):
            return End(self.folder / f"{int(last.stem) + 1:06d}.jsonl", 0, end.seq, end.head)
        return end

    def _sealed(self, segment: Path) -> bool:
        """Whether the anchor names the segment, even one that does not read any more."""
        with suppress(FileNotFoundError):
            return segment.name.encode() in files.read_regular(self.folder / SUMS)
        return False

    def _put_torn_aside(self, segment: Path) -> None:
        torn = next(_backwards(segment), b"")
        if not torn or torn.endswith(b"\n"):
            return
        taken = [int(path.name.split("-")[1].removesuffix(".new")) for path in self.folder.glob("torn-*")]
        files.write_whole(self.folder / f"torn-{max(taken, default=0) + 1}.new", torn)
        files.announce("write", segment)
        with segment.open("r+b") as handle:
            handle.truncate(segment.stat().st_size - len(torn))
            files.fsync(handle.fileno(), segment)


def _beginning(folder: Path) -> End:
    return End(folder / _FIRST, 0, 0, "")


def _told(path: Path) -> dict[str, Any]:
    """What a record says of bytes that were put aside: they get the name without `.new` once it is written."""
    return {"file": path.stem, "bytes": path.stat().st_size, "sha256": sum_of(path)}


def _last_record(segments: list[Path]) -> tuple[int, str]:
    """Number and hash of the last line; (0, "") before the first. A line that does not read does not keep records from
    being written: it is counted, its bytes are chained as they are, and checking the chain tells of it."""
    head, unread = "", 0
    for segment in reversed(segments):
        for line in _backwards(segment):
            if not line.endswith(b"\n"):
                continue
            bare = line.removesuffix(b"\n")
            head = head or sha256(bare).hexdigest()
            with suppress(encoded.Wrong):
                return encoded.read(bare, Record).seq + unread, head
            unread += 1
    return unread, head


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file, last first, each with its newline; the very last one may have none."""
    with files.open_regular(path) as handle:
        left, rest = handle.seek(0, os.SEEK_END), b""
        while left:
            size = min(max(_CHUNK, len(rest)), left)
            left -= size
            handle.seek(left)
            rest = handle.read(size) + rest
            if len(rest) > 2 * LONGEST_LINE:
                raise _too_long(path, None)
            whole = _split(rest)
            rest = whole[0]
            yield from reversed(whole[1:])
        if rest:
            yield rest


def _too_long(path: Path, line: int | None) -> Damaged:
    where = f"{path}:{line}" if line is not None else f"the end of {path}"
    what = f"{where} is not a record: it is longer than {LONGEST_LINE:,} bytes"
    return Damaged("RCL5020", what, "Keep the folder as it is, and compare it with a copy.", subject=str(path))


def _split(data: bytes) -> list[bytes]:
    """Lines by newlines alone; `splitlines` knows more."""
    *lines, last = data.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])
