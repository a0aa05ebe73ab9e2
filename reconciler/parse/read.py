"""Reading: a policy folder -> its policy set, with everything that is wrong or worth a warning."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from reconciler.errors import Diagnostic, Location, PolicyError, Severity, sort_key
from reconciler.model.documents import PolicySet
from reconciler.parse.decode import decode
from reconciler.parse.load import LARGEST_FILE, load
from reconciler.parse.validate import validate

_SUFFIXES = (".yaml", ".yml")


class Reading(msgspec.Struct, frozen=True):
    """What a folder says. `policies` is None when anything is wrong; `files` are relative to the root."""

    policies: PolicySet | None
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]


def read_policies(root: Path, folder: str = "policies") -> Reading:
    """Reads every policy file below the folder, in any order with the same result.

    Raises `PolicyError` for a folder that is missing, unreadable or without documents: it never means that
    nothing is desired.
    """
    found: list[Diagnostic] = []
    files: list[str] = []
    documents = []
    for path in sorted(_policy_files(root / folder, found)):
        name = path.relative_to(root).as_posix()
        files.append(name)
        data = _read(path, name, found)
        if data is None:
            continue
        loaded, wrong = load(name, data)
        found += wrong
        for document in loaded:
            kind, mistakes = validate(document)
            found += [each for each in mistakes if each.location not in {trap.location for trap in wrong}]
            documents.append((kind, document, bool(mistakes)))
    if not documents and not found:
        raise PolicyError(
            [_about(root / folder, "RCL1003", "holds no policy document", "Write one, or name the root with -C.")]
        )
    sound = [(kind, document) for kind, document, wrong in documents if kind and not wrong]
    policies, together = decode(sound)
    found += _believable(together, whole=len(sound) == len(documents) and not found)
    diagnostics = tuple(sorted(set(found), key=sort_key))
    failed = any(each.severity is Severity.ERROR for each in diagnostics)
    return Reading(None if failed else policies, diagnostics, tuple(files))


def _believable(together: list[Diagnostic], *, whole: bool) -> list[Diagnostic]:
    """References to a document that is itself wrong are not reported: its own mistake is."""
    return [each for each in together if whole or each.code != "RCL1024"]


def _policy_files(folder: Path, found: list[Diagnostic]) -> Iterator[Path]:
    """Every policy file below the folder; links to folders are not followed, so no loop can be."""
    if not folder.exists():
        raise PolicyError([_about(folder, "RCL1001", "is not there", "Go to the root, or name it with -C DIR.")])
    if not folder.is_dir():
        raise PolicyError([_about(folder, "RCL1001", "is not a folder", "Policies are files in a folder.")])

    def failed(error: OSError) -> None:
        where = Path(error.filename) if error.filename else folder
        found.append(_about(where, "RCL1002", f"cannot be read: {error.strerror}", "Give this account the right."))

    for parent, _, names in os.walk(folder, onerror=failed):
        for name in names:
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield Path(parent) / name
    if len(found) == 1 and found[0].subject == str(folder):
        raise PolicyError(found)


def _read(path: Path, name: str, found: list[Diagnostic]) -> bytes | None:
    try:
        if not path.is_file():
            found.append(_about(path, "RCL1002", "is no regular file", "Remove it, or give it another ending."))
            return None
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        where = Location(name)
        found.append(Diagnostic("RCL1002", Severity.ERROR, what, "Give this account the right to read it.", where))
        return None


def _about(path: Path, code: str, what: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, f"{path.name!r} {what}", remedy, subject=str(path))
