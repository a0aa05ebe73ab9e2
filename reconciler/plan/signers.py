"""Signers: two texts of a file of allowed signers -> who may sign now that might not before, and who may no more.

The file is a document of the guard like any other: a line that is added lets somebody sign as an approver.
"""

from __future__ import annotations

from reconciler.model import Direction
from reconciler.model.comparison import DocumentChange, DocumentField, DocumentVerb, change_hash

KIND = "AllowedSigners"
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-", "rsa-")


def keys(text: str | None) -> dict[str, str]:
    """What each line says (principals, options, kind and key; blanks and comments say nothing) -> the line."""
    found: dict[str, str] = {}
    for line in (text or "").split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = next((at for at, word in enumerate(words) if at and word.startswith(_KEY_TYPES)), len(words))
        found.setdefault(" ".join(words[: place + 2]), line.strip())
    return found


def signer_changes(path: str, before: str | None, after: str | None) -> DocumentChange | None:
    """How the file differs, a field for each signer; None where it says the same."""
    old, new = keys(before), keys(after)
    fields = [_field(path, None, said, Direction.WEAKENS) for said in new if said not in old]
    fields += [_field(path, said, None, Direction.STRENGTHENS) for said in old if said not in new]
    if not fields:
        return None
    direction = max((field.direction for field in fields), key=lambda each: each.rank)
    return DocumentChange(KIND, path, DocumentVerb.CHANGED, direction, tuple(fields))


def _field(path: str, before: str | None, after: str | None, direction: Direction) -> DocumentField:
    digest = change_hash(KIND, path, "signer", before, after, direction)
    return DocumentField("signer", before, after, direction, digest, note="may sign as an approver" if after else "")


def in_force(before: str | None, after: str | None, agreed: frozenset[str], path: str) -> str | None:
    """The text that counts: without what was taken out, and of what was added only what somebody agreed to."""
    if before is None or after is None:
        return after if before is None else "" if after is None else after
    old, new = keys(before), keys(after)
    change = signer_changes(path, before, after)
    hashes = {field.after: field.change_hash for field in change.fields} if change is not None else {}
    kept = [line for said, line in new.items() if said in old or hashes.get(said) in agreed]
    return "\n".join([*kept, ""])
