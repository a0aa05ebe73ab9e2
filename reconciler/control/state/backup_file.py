"""A backup of a state: the state database and the evidence <-> one tar file with the SHA-256 of every part."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from reconciler import __version__, encoded, files, system_calls
from reconciler.control.state.plain_tar import NotPlain, PlainTar
from reconciler.errors import Damaged, Refused, UsageError
from reconciler.model import Lineage
from reconciler.model.units import format_size
from reconciler.state import Opening, copy_database, open_memory

FORMAT_VERSION = "1.0"
MANIFEST, DATABASE, EVIDENCE = "manifest.json", "state.db", "evidence"

_PART = re.compile(r"state\.db|evidence(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_CHUNK = 1024 * 1024
_LARGEST_MANIFEST = 4 * 1024 * 1024
#: Files of the evidence have 16 MiB; and what a tar's header holds of a name.
_MOST_PARTS, _LONGEST_NAME = 10_000, 100


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """A file in the backup: its name there, its size in bytes, its SHA-256 (hex)."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """The first file of a backup: which site's state, taken when (UTC), on which host, by which version; and the parts
    in their order. `state` is who the state is and how far it had come, None for one of version 0.1. `seal` is the
    SHA-256 of this document's canonical JSON with an empty seal."""

    site: str
    taken_at: datetime
    host: str
    version: str
    parts: tuple[Part, ...]
    seal: str = ""
    state: Lineage | None = None
    format_version: str = FORMAT_VERSION
    kind: Literal["StateBackup"] = "StateBackup"


class _Head(msgspec.Struct, rename="camel"):
    format_version: str = ""
    kind: str = ""


def write_backup(site: str, database: Path, evidence: Path, target: Path, at: datetime) -> Manifest:
    """Writes the backup of a state, whoever is at work on it, and reads it back before it gets its name.

    The evidence is read after the database, so it never lacks what the database tells of. Raises `Refused`, RCL5012,
    where there is no database, `Damaged` where it cannot be read whole.
    """
    if not database.is_file():
        raise Refused("RCL5012", f"there is no state database {database}", "See `state` in the site.", subject=site)
    copy, temporary = (files.temporary(target, ending) for ending in ("db", "part"))
    try:
        copy_database(database, copy)
        sources = {DATABASE: (copy, copy.stat().st_size)}
        for path in _evidence_files(evidence):
            sources[f"{EVIDENCE}/{path.relative_to(evidence).as_posix()}"] = (path, _whole_lines(path))
        parts = tuple(Part(name, size, _sum(path, size)) for name, (path, size) in sources.items())
        with closing(open_memory(copy, opening=Opening.READ)) as memory:
            memory.verify()
            lineage = memory.lineage()
        manifest = Manifest(site, at, platform.node(), __version__, parts, state=lineage)
        manifest = msgspec.structs.replace(manifest, seal=_seal(manifest))
        files.announce("write", temporary)
        with os.fdopen(files.create(temporary), "wb") as handle:
            with tarfile.open(fileobj=handle, mode="w", format=tarfile.GNU_FORMAT) as tar:
                text = msgspec.json.format(_canonical(manifest), indent=1) + b"\n"
                tar.addfile(_entry(MANIFEST, len(text), at), io.BytesIO(text))
                for name, (path, size) in sources.items():
                    with files.open_regular(path) as source:
                        tar.addfile(_entry(name, size, at), source)
            handle.flush()
            files.fsync(handle.fileno(), temporary)
        read_backup(temporary)
        files.rename(temporary, target)
    finally:
        copy.unlink(missing_ok=True)
        temporary.unlink(missing_ok=True)
    return manifest


def read_backup(path: Path, folder: Path | None = None) -> Manifest:
    """Reads the backup whole, held against every SHA-256; with a `folder`, its parts are written there on the way.

    Raises `UsageError` where there is no such file, `Refused`, RCL5008, where it is none of ours or of a newer major
    version, `Damaged`, RCL5009, where it is not as it was written.
    """
    try:
        with files.open_regular(path) as file:
            tar = PlainTar(file)
            manifest = _manifest(path, tar)
            _check_parts(path, manifest.parts)
            if folder is not None:
                files.make_folder(folder)
                _check_room(folder, sum(part.bytes for part in manifest.parts))
            for part in manifest.parts:
                if tar.next() != (part.name, part.bytes):
                    raise _damaged(path, f"the part {part.name} is missing, or has another size")
                if _take(tar.chunks(), folder / part.name if folder else None) != part.sha256:
                    raise _damaged(path, f"the part {part.name} does not fit its SHA-256")
            if not tar.ended():
                raise _damaged(path, "it holds more than its manifest says")
    except NotPlain as error:
        raise _none_of_ours(path, str(error)) from error
    except FileNotFoundError as error:
        raise UsageError("RCL0003", f"there is no {str(path)!r}", "Name a backup.", subject=str(path)) from error
    except files.NotRegular as error:
        what = f"{str(path)!r} is {error.strerror}"
        raise UsageError("RCL0003", what, "Name a backup.", subject=str(path)) from error
    if folder is not None:
        files.fsync_folder(folder)
    return manifest


def _evidence_files(folder: Path) -> list[Path]:
    """Anchor and signature first, then the segments: the anchor never names more than is copied."""
    every = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    named = (path for path in every if _is_part(f"{EVIDENCE}/{path.relative_to(folder).as_posix()}"))
    return sorted(named, key=lambda path: (path.suffix == ".jsonl", path))


def _manifest(path: Path, tar: PlainTar) -> Manifest:
    member = tar.next()
    if member.name != MANIFEST:
        raise _none_of_ours(path, f"it does not begin with {MANIFEST}")
    if member.size > _LARGEST_MANIFEST:
        raise _none_of_ours(path, f"its {MANIFEST} holds more than {_LARGEST_MANIFEST:,} bytes")
    data = b"".join(tar.chunks())
    try:
        plain = encoded.read(data, dict[str, Any], _LARGEST_MANIFEST)
        head = msgspec.convert(plain, _Head)
        if head.kind != "StateBackup" or head.format_version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
            what = f"it is {head.kind or 'something'} of version {head.format_version or 'unknown'}; this version "
            raise _none_of_ours(path, what + f"knows StateBackup {FORMAT_VERSION}")
        manifest = msgspec.convert(plain, Manifest)
    except msgspec.ValidationError as error:
        raise _none_of_ours(path, f"its manifest cannot be read: {error}") from error
    except encoded.Wrong as error:
        raise _damaged(path, f"its manifest cannot be read: {error}") from error
    if hashlib.sha256(_canonical(plain | {"seal": ""})).hexdigest() != manifest.seal:
        raise _damaged(path, "its manifest does not fit its seal")
    return manifest


def _check_parts(path: Path, parts: tuple[Part, ...]) -> None:
    """That the names are those of a backup, each once, none of them within another, and the state itself among them."""
    if len(parts) > _MOST_PARTS:
        raise _none_of_ours(path, f"it has more than {_MOST_PARTS:,} parts")
    names = {part.name for part in parts}
    if DATABASE not in names:
        raise _none_of_ours(path, f"it has no {DATABASE}, the state itself")
    if len(names) < len(parts):
        raise _none_of_ours(path, "it has a part twice")
    for name in names:
        folders = {str(folder) for folder in PurePosixPath(name).parents}
        if not _is_part(name) or names & folders:
            raise _none_of_ours(path, f"it has a part {name!r}")


def _is_part(name: str) -> bool:
    """Whether a backup can hold it: the state or a file of the evidence, with a name that fits into the tar."""
    return _PART.fullmatch(name) is not None and len(name) <= _LONGEST_NAME


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        what = f"{folder} is full: {format_size(needed)} needed, {format_size(free)} free"
        raise Refused("RCL5013", what, "Free space there. Nothing was changed.", subject=str(folder))


def _take(chunks: Iterator[bytes], target: Path | None) -> str:
    """Reads it to its end, into `target` if there is one, durably; its SHA-256."""
    digest = hashlib.sha256()
    if target is None:
        for chunk in chunks:
            digest.update(chunk)
        return digest.hexdigest()
    files.make_folder(target.parent)
    files.announce("write", target)
    with os.fdopen(system_calls.open_file(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as handle:
        for chunk in chunks:
            digest.update(chunk)
            handle.write(chunk)
        handle.flush()
        files.fsync(handle.fileno(), target)
    return digest.hexdigest()


def _whole_lines(path: Path) -> int:
    """How many bytes of the file to take: of records, up to the end of the last whole line; somebody may be writing."""
    if path.suffix != ".jsonl":
        return path.stat().st_size
    data = files.read_regular(path)
    return data.rfind(b"\n") + 1


def _sum(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with files.open_regular(path) as handle:
        while size > 0 and (chunk := handle.read(min(_CHUNK, size))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def _entry(name: str, size: int, at: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(at.timestamp())
    return entry


def _seal(manifest: Manifest) -> str:
    plain = encoded.plain(msgspec.structs.replace(manifest, seal=""))
    return hashlib.sha256(_canonical(plain)).hexdigest()


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _none_of_ours(path: Path, what: str) -> Refused:
    remedy = "Name what `reconciler state backup` wrote. Nothing was changed."
    return Refused("RCL5008", f"{str(path)!r} is not a backup of a state: {what}", remedy, subject=str(path))


def _damaged(path: Path, what: str) -> Damaged:
    remedy = "Take another backup, or another copy of this one. Nothing was changed."
    return Damaged("RCL5009", f"the backup {str(path)!r} is damaged: {what}", remedy, subject=str(path))
