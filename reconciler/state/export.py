"""Exporting: the evidence of a site -> a folder or a tar file for an auditor, with what they need to check it."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import files
from reconciler.errors import UsageError
from reconciler.state.anchor import SIGNATURE, SUMS
from reconciler.state.evidence import EvidenceFolder

if TYPE_CHECKING:
    import tarfile

README = "README.txt"

_TEXT = """Evidence of the site SITE
=========================

*.jsonl         the records, one in each line, oldest first. JSON: seq counts from 1, prev is the SHA-256 of the line
                before (without its newline), at is UTC, kind says what the body tells of.
SHA256SUMS      the anchor: the SHA-256 of each file of records.
SHA256SUMS.sig  a signature of it, if it was signed.
torn-*          what a process that was killed left of a record; the record after it tells of it.

Check it without the program that wrote it, in this folder.

Is every record as it was when the anchor was made? Better with a SHA256SUMS that you got another way or earlier; an
older one has fewer lines, and they are the same.

    sha256sum -c SHA256SUMS

Who made the anchor? SIGNERS is a file of `IDENTITY KEY` lines that you got another way.

    ssh-keygen -Y verify -f SIGNERS -I IDENTITY -n reconciler-evidence -s SHA256SUMS.sig < SHA256SUMS

With the program, which also finds which record is not as it was, and answers what protected a virtual machine on a day:

    reconciler evidence verify --folder . --anchor SHA256SUMS --signers SIGNERS --identity IDENTITY
    reconciler evidence query VM --at 2026-03-10 --folder .
"""


def export(evidence: EvidenceFolder, site: str, target: Path, anchor: Mapping[str, bytes] | None = None) -> list[str]:
    """Writes it; returns the names of the files. `anchor` takes the place of the one in the folder, where that could
    not be written. A target that ends in `.tar` is a tar file. Raises `UsageError`,
    RCL5031, where something is there already."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        what = f"{str(target)!r} already exists"
        raise UsageError("RCL5031", what, "Give a new folder, or a new file that ends in .tar.", subject=str(target))
    kept = [path for path in sorted(evidence.folder.iterdir()) if _belongs(path)]
    if anchor is not None:
        kept = [path for path in kept if path.name not in (SUMS, SIGNATURE)]
    told = {**(anchor or {}), README: _TEXT.replace("SITE", site, 1).encode()}
    if target.suffix == ".tar":
        _pack(target, kept, told)
    else:
        files.make_folder(target)
        for path in kept:
            files.write_whole(target / path.name, files.read_regular(path))
        for name, data in told.items():
            files.write_whole(target / name, data)
    return [*(path.name for path in kept), *told]


def _belongs(path: Path) -> bool:
    return path.suffix == ".jsonl" or path.name in (SUMS, SIGNATURE) or path.name.startswith("torn-")


def _pack(target: Path, kept: list[Path], told: Mapping[str, bytes]) -> None:
    """All or nothing: a temporary file, then renamed."""
    import tarfile

    files.make_folder(target.parent)
    temporary = files.temporary(target)
    files.announce("write", target)
    try:
        with os.fdopen(files.create(temporary), "w+b") as handle:
            with tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for path in kept:
                    archive.add(path, arcname=path.name, recursive=False, filter=_nobodys)
                for name, data in told.items():
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode = len(data), 0o600
                    archive.addfile(entry, io.BytesIO(data))
            handle.flush()
            files.fsync(handle.fileno(), target)
        files.rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Accounts of this machine say nothing elsewhere."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
