"""Two folders of evidence, one from a backup -> one that never went back, and nothing lost of the other."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

from reconciler import files


class Merged(StrEnum):
    """What was done. `KEPT`: the present evidence goes on from the backup's, or is the same. `EXTENDED`: the backup's
    goes on from it, or there was none. `BESIDE`: the two differ, and the backup's lies in a folder of its own."""

    KEPT = "kept"
    EXTENDED = "extended"
    BESIDE = "beside"


def lines_of(folder: Path) -> Iterator[bytes]:
    """The whole lines of the evidence in a folder, oldest first, without their newlines."""
    for path in _segments(folder):
        with files.open_regular(path) as handle:
            yield from (line[:-1] for line in handle if line.endswith(b"\n"))


def count_and_head(folder: Path) -> tuple[int, str]:
    """How many records there are, and the SHA-256 of the last ("" for none)."""
    number, last = 0, None
    for number, last in enumerate(lines_of(folder), start=1):  # noqa: B007 the last ones count
        pass
    return number, sha256(last).hexdigest() if last is not None else ""


def merge_evidence(backup: Path, present: Path, beside: Path) -> Merged:
    """Makes the evidence in `present` hold what it held and, where that goes on from it, the backup's. Where the two
    differ the backup's folder becomes `beside`, and `present` stays as it is."""
    for theirs, ours in zip_longest(lines_of(backup), lines_of(present)):
        if theirs is None:
            return Merged.KEPT
        if ours is None and _same_segments(backup, present):
            _extend(backup, present)
            return Merged.EXTENDED
        if theirs != ours:
            files.rename(backup, beside)
            return Merged.BESIDE
    return Merged.KEPT


def _same_segments(backup: Path, present: Path) -> bool:
    """Whether each segment of the present evidence is the beginning of the backup's of the same name."""
    for path in _segments(present):
        data = files.read_regular(path)
        twin = backup / path.name
        if not twin.exists() or not files.read_regular(twin).startswith(data[: data.rfind(b"\n") + 1]):
            return False
    return True


def _extend(backup: Path, present: Path) -> None:
    """Writes what is missing: anchor and signature first, then the segments, oldest first. After a kill the chain is
    shorter, never broken, and the next restore does all of it again."""
    files.make_folder(present)
    every = sorted(
        (path for path in backup.rglob("*") if path.is_file()), key=lambda path: (path.suffix == ".jsonl", path)
    )
    for path in every:
        target = present / path.relative_to(backup)
        files.make_folder(target.parent)
        files.write_whole(target, files.read_regular(path))


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))
