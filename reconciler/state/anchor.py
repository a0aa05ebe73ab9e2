"""The anchor: segments -> SHA256SUMS, which `sha256sum -c` checks and which is kept elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from reconciler import files
from reconciler.errors import Damaged

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"

_LINE = re.compile(r"([0-9a-f]{64}) [ *](\d{6}\.jsonl)")


def sum_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with files.open_regular(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sums_text(sums: Mapping[str, str]) -> bytes:
    """Segment name -> hash, as sha256sum writes it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()


def read_sums(path: Path) -> dict[str, str]:
    """Segment name -> hash; nothing where there is no file. Raises `Damaged`, RCL5027, where it is no anchor."""
    try:
        text = files.read_text(path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _no_anchor(path, str(error)) from error
    sums = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise _no_anchor(path, f"line {number} is not `HASH  SEGMENT`")
        sums[match[2]] = match[1]
    return sums


def check_extends(older: Mapping[str, str], newer: Mapping[str, str], where: Path) -> None:
    """Raises `Damaged`, RCL5025, where a segment of the older anchor is missing in the newer one, or another one."""
    for name, digest in older.items():
        if newer.get(name) != digest:
            what = f"the anchor in {where} has another {name} than there is now"
            remedy = "Keep both as they are; `reconciler evidence verify` says where the chain is not as it was."
            raise Damaged("RCL5025", what, remedy, subject=name)


def _no_anchor(path: Path, why: str) -> Damaged:
    what = f"{path} is not an anchor: {why}"
    return Damaged("RCL5027", what, "Give a SHA256SUMS that `reconciler evidence seal` wrote.", subject=str(path))
