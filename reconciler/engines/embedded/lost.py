"""What is missing, older than it was, or another one -> the error that says so, with what to do. Nothing is made."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import Damaged, Unreachable


def unreachable(path: Path, what: str, when: str = "") -> Unreachable:
    """RCL4021: something that is on record is not there."""
    missing = path
    while not missing.parent.exists() and missing.parent != missing.parent.parent:
        missing = missing.parent
    where = f"{path} is missing" if missing == path else f"{path} is missing: there is no {missing}"
    return Unreachable(
        "RCL4021",
        f"{what} is missing: {where}" + (f"; {when}" if when else ""),
        "If its disk is not mounted, mount it. If a database was lost, run `reconciler store rebuild`, or put a backup "
        "of it back. If the store is gone for good, say so with `reconciler store declare-lost SERVER [--volume V] "
        "--reason TEXT`. Nothing was written.",
        subject=str(path),
    )


def exchanged(path: Path, what: str) -> Damaged:
    """RCL4023: something is there, and it is not what is on record."""
    return Damaged(
        "RCL4023",
        f"{path} is not what is on record there: {what}",
        "Put back what was there: two stores, volumes, folders or catalogs were swapped, or one was copied over "
        "another. Nothing was written.",
        subject=str(path),
    )


def older(path: Path, what: str) -> Damaged:
    """RCL4025: a database that has been further before."""
    return Damaged(
        "RCL4025",
        f"{path} is older than it was: {what}",
        "Put the newest copy back, or run `reconciler store rebuild`, which rebuilds it from packs and copies of "
        "maps. Until then nothing is written to it.",
        subject=str(path),
    )
