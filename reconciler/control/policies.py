"""The policy folder over time: what it says now, and the last time it was right."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from reconciler import files
from reconciler.errors import Diagnostic, PolicyError
from reconciler.model.documents import PolicySet
from reconciler.parse import read_policies

FOLDER = "policies"
_KEEP = ".reconciler"


class Policies(msgspec.Struct, frozen=True):
    """What was read. `current` is False when the folder is wrong now and these are the last good ones:
    enough to go on with jobs, never to change anything."""

    policies: PolicySet
    current: bool
    diagnostics: tuple[Diagnostic, ...]


def read_good(root: Path) -> Policies:
    """The policies of the root; raises `PolicyError` with every mistake."""
    reading = read_policies(root, FOLDER)
    if reading.policies is None:
        raise PolicyError(reading.diagnostics)
    return Policies(reading.policies, True, reading.diagnostics)


def read_or_last_good(root: Path) -> Policies:
    """The policies, kept for later; or, where they are wrong now, the last good ones with what is wrong.

    Raises `PolicyError` when they are wrong and no good ones were ever kept.
    """
    try:
        good = read_good(root)
    except PolicyError as error:
        kept = _kept(root)
        if kept is None:
            raise
        return Policies(kept, False, error.diagnostics)
    _keep(root)
    return good


def fingerprint(root: Path) -> str:
    """A hash of the folder's policy files, by name and content; "" where it cannot be read."""
    digest = hashlib.sha256()
    try:
        for path in _policy_files(root / FOLDER):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(files.read_regular(path)).digest())
    except OSError:
        return ""
    return digest.hexdigest()[:16]


def _policy_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file())


def _keep(root: Path) -> None:
    """Copies the folder under a name of its content, then points at the copy."""
    pointer = root / _KEEP / "last-good"
    name = f"last-good-{fingerprint(root)}"
    if pointer.exists() and files.read_text(pointer) == name:
        return
    copy = root / _KEEP / name
    for path in _policy_files(root / FOLDER):
        target = copy / path.relative_to(root)
        files.make_folder(target.parent)
        files.write_whole(target, files.read_regular(path))
    files.write_whole(pointer, name.encode())
    for old in pointer.parent.glob("last-good-*"):
        if old.name != name:
            files.remove_folder(old)


def _kept(root: Path) -> PolicySet | None:
    try:
        name = files.read_text(root / _KEEP / "last-good")
        return read_policies(root / _KEEP / name, FOLDER).policies
    except (OSError, PolicyError):
        return None
