"""Evidence in a folder: records as lines of JSON in segment files, each naming the line before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from reconciler import files
from reconciler.errors import Damaged
from reconciler.model import EvidenceKind, Record


class EvidenceFolder:
    """See `protocols.Evidence`. The folder is made with the first record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last: tuple[int, str] | None = None

    def segments(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))

    def append(self, kind: EvidenceKind, at: datetime, run: str, body: dict[str, Any]) -> Record:
        files.make_folder(self.folder)
        segments = self.segments()
        path = segments[-1] if segments else self.folder / "000001.jsonl"
        seq, prev = self._tail(segments)
        record = Record(seq + 1, prev, at, kind, run, body)
        line = msgspec.json.encode(record, order="deterministic")
        files.announce("write", path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as handle:
            handle.write(line + b"\n")
            handle.flush()
            files.fsync(handle.fileno(), path)
        self._last = (record.seq, sha256(line).hexdigest())
        return record

    def records(self, holding: str = "") -> Iterator[Record]:
        for path in self.segments():
            for number, line in enumerate(path.read_bytes().splitlines(), start=1):
                try:
                    yield msgspec.json.decode(line, type=Record)
                except msgspec.DecodeError as error:
                    what = f"{path}:{number} is no record: {error}"
                    raise Damaged("RCL5020", what, "Keep the folder as it is, and compare it with a copy.") from error

    def _tail(self, segments: list[Path]) -> tuple[int, str]:
        """Number and hash of the last record; (0, "") before the first."""
        if self._last is None:
            self._last = (0, "")
            for path in reversed(segments):
                lines = path.read_bytes().splitlines()
                if lines:
                    self._last = (msgspec.json.decode(lines[-1], type=Record).seq, sha256(lines[-1]).hexdigest())
                    break
        return self._last
