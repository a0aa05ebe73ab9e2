"""Intents: what a recovery is about to replace, written down before it does -> whether that may still be done.

An intent says who asked, until when it counts, and what stood at its target, down to the digest of every file that
would be destroyed. What decides later is what is there then: a file that is neither what it was nor what was put there,
a machine that is not off, a staged file that is gone, and the intent is not carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import msgspec

from reconciler import encoded
from reconciler.engines.embedded.blocks import BLOCK, NAME, name_of
from reconciler.engines.embedded.maps import blocks_in, file_digest
from reconciler.engines.embedded.scan import runs
from reconciler.errors import Refused
from reconciler.model import FileState, RecoveryTarget
from reconciler.protocols import Target, Which


class Phase(StrEnum):
    """`STAGING`: nothing of the target was touched. `READY`: all is staged and verified, renames may have begun.
    `RENAMED`: all is in its place, and only what is not wanted any more is to be removed."""

    STAGING = "staging"
    READY = "ready"
    RENAMED = "renamed"


class Stands(StrEnum):
    """What is at the place of a file: what was there before, what was put there, or something else."""

    BEFORE = "before"
    AFTER = "after"
    CHANGED = "changed"


class PlannedFile(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One file of an intent. `digest` is the `file_digest` of what is put there, `staged` device and inode of the
    staged file, `reported` the BLAKE3 of the whole file for people. `before` is what stood there, None for nothing."""

    path: str
    mode: int = 0
    mtime_ns: int = 0
    digest: str = ""
    staged: tuple[int, int] = (0, 0)
    reported: str = ""
    before: FileState | None = None


class Anew(msgspec.Struct, frozen=True, rename="camel"):
    """A machine that the cluster no longer knows, and that is made known to it again."""

    config: str
    name: str
    node: str


class Intent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """See the module. `remove` are files of checkpoints, `disks` where the machine's files lay when it was agreed."""

    version: int
    phase: Phase
    token: str
    point: str
    target: RecoveryTarget
    by: str
    until: datetime
    files: tuple[PlannedFile, ...]
    folder: str = ""
    keep_original: bool = False
    remove: tuple[FileState, ...] = ()
    disks: tuple[str, ...] = ()
    anew: Anew | None = None


VERSION = 2


def token_of(job: str) -> str:
    """Tells the files of one job, by its id, from another's: 12 hexadecimal digits."""
    return sha256(job.encode()).hexdigest()[:12]


#: Made here, by one thread: see `encoded.Reader`.
_DECODER = encoded.Reader(Intent)


class _Old(msgspec.Struct, frozen=True, rename="camel"):
    """The intent of version 0.1, which knew nothing of what it replaced."""

    token: str
    files: tuple[tuple[str, int, int], ...]


_OLD = encoded.Reader(_Old)


def encode(intent: Intent) -> bytes:
    return msgspec.json.encode(intent)


def decode(body: bytes) -> Intent:
    """The intent again. One of version 0.1 is taken as cut off while it staged: it is never carried out."""
    try:
        return _DECODER.decode(body)
    except encoded.Wrong:
        old = _OLD.decode(body)
        never = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        files = tuple(PlannedFile(path) for path, _, _ in old.files)
        return Intent(1, Phase.STAGING, old.token, "", RecoveryTarget.ORIGINAL, "", never, files)


# --- What is there -------------------------------------------------------------------------------------------


def stands(target: Target, file: PlannedFile) -> Stands:
    """What is at the place of the file, told without reading it."""
    try:
        now = target.state(file.path)
    except Refused:  # a link, a folder, a device
        return Stands.CHANGED
    if now is not None and (now.device, now.inode) == file.staged:
        return Stands.AFTER
    return Stands.BEFORE if same(now, file.before) else Stands.CHANGED


def moved(target: Target, intent: Intent) -> tuple[PlannedFile, ...]:
    """The files that are in their place already."""
    if intent.phase is Phase.STAGING:
        return ()
    return tuple(file for file in intent.files if stands(target, file) is Stands.AFTER)


def same(now: FileState | None, then: FileState | None) -> bool:
    """Whether it is the same file, with no write seen. The time of the inode is no part: a second name changes it."""
    if now is None or then is None:
        return now is then
    return (now.device, now.inode, now.size, now.mtime_ns) == (then.device, then.inode, then.size, then.mtime_ns)


def digest_at(target: Target, path: str, which: Which, token: str, pulse: Callable[[], None]) -> str:
    """The digest of a file's content, every block of it read; "" where it cannot be read."""
    try:
        with target.reopen(path, which, token) as file:
            names = bytearray(blocks_in(file.size) * NAME)
            for offset, length in runs(file.extents(), file.size):
                pulse()
                data = memoryview(file.read(offset, length))
                for start in range(0, len(data), BLOCK):
                    index = (offset + start) // BLOCK
                    names[index * NAME : (index + 1) * NAME] = name_of(data[start : start + BLOCK])
            return file_digest(file.size, names).hex()
    except OSError:
        return ""


def with_digest(target: Target, state: FileState, pulse: Callable[[], None]) -> FileState:
    """What is to be destroyed, with the digest of its content; without one where it cannot be read, as on the failing
    disk that is recovered from: it is then never replaced without being asked for anew."""
    return msgspec.structs.replace(state, digest=digest_at(target, state.path, Which.PLACE, "", pulse))


def original_is_there(target: Target, intent: Intent, file: PlannedFile) -> bool:
    """Whether what the file replaced is beside it."""
    return file.before is None or same(_beside(target, intent, file, Which.ORIGINAL), file.before)


def _beside(target: Target, intent: Intent, file: PlannedFile, which: Which) -> FileState | None:
    try:
        return target.state(file.path, which, intent.token)
    except Refused:
        return None


# --- Whether it still holds ----------------------------------------------------------------------------------


def file_differs(
    target: Target, intent: Intent, file: PlannedFile, pulse: Callable[[], None], *, read: bool
) -> str | None:
    """Why this file is not as the intent has it, None if it is. With `read` every byte decides: of what is staged, of
    what would be destroyed, of what was put there already."""
    at = stands(target, file)
    if at is Stands.CHANGED:
        return f"{file.path!r} is not what it was when this was confirmed"
    if at is Stands.AFTER:
        if read and digest_at(target, file.path, Which.PLACE, intent.token, pulse) != file.digest:
            return f"{file.path!r} was written to since it was put there"
        if not original_is_there(target, intent, file):
            return f"what {file.path!r} was before is not beside it any more"
        return None
    staged = _beside(target, intent, file, Which.STAGED)
    if staged is None or (staged.device, staged.inode) != file.staged:
        return f"the staged file of {file.path!r} is gone"
    if not read:
        return None
    if digest_at(target, file.path, Which.STAGED, intent.token, pulse) != file.digest:
        return f"the staged file of {file.path!r} is not what was staged"
    if file.before is None or intent.keep_original:
        return None
    now = digest_at(target, file.path, Which.PLACE, intent.token, pulse)
    if not file.before.digest or now != file.before.digest:
        return f"{file.path!r} was written to since this was confirmed, or cannot be read"
    return None
