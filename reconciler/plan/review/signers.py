"""Signers: two texts of a file of allowed signers -> who may sign now that might not before, and who may no more.

The file is a document of the guard like any other: a line that is added lets somebody sign as an approver.
"""

from __future__ import annotations

import re
import unicodedata

from reconciler.model import Direction
from reconciler.model.comparison import DocumentChange, DocumentField, DocumentVerb, change_hash

KIND = "AllowedSigners"

#: A line whose parts nobody reads otherwise than ssh-keygen: principals, kind of key, key, and a comment that says
#: nothing. Of any other line (options, quotes, certificates) every letter counts. [ssh-keygen(1), ALLOWED SIGNERS]
_PLAIN = re.compile(
    r"([^ \t\"#][^ \t\"]*)[ \t]+"
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
    r"[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t].*)?"
)

#: Controls, marks that are not seen, blanks that are none, halves of pairs, and what was no UTF-8: programs part lines
#: at some of them, and people see none.
_NEVER = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def keys(text: str | None) -> dict[str, str]:
    """What each line says (blanks and comments say nothing) -> the line. One with a letter that must not be in such a
    file says all that is in it, and lets nobody sign: see `in_use`."""
    found: dict[str, str] = {}
    for line in _lines(text):
        plain = _PLAIN.fullmatch(line)
        found.setdefault(" ".join(plain.groups()) if plain and not _hides(line) else line, line)
    return found


def in_use(text: str | None) -> str | None:
    """The file as signatures are checked by it: the lines that we understand as ssh-keygen does, and no other."""
    if text is None:
        return None
    return "\n".join([*(line for line in keys(text).values() if not _hides(line)), ""])


def _lines(text: str | None) -> list[str]:
    """The lines that are no comments, as ssh-keygen parts them: at line feeds alone."""
    lines = (line.removesuffix("\r").strip(" \t") for line in (text or "").split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _hides(line: str) -> bool:
    return any(
        letter not in " \t" and (letter.isspace() or letter == "\ufffd" or unicodedata.category(letter) in _NEVER)
        for letter in line
    )


def signer_changes(path: str, before: str | None, after: str | None) -> DocumentChange | None:
    """How the file differs, a field for each signer; None where it says the same. A signer less is stronger, but where
    none of them stays: then nobody could approve anything ever after."""
    old, new = keys(before), keys(after)
    less = Direction.STRENGTHENS if set(old) & set(new) else Direction.WEAKENS
    fields = [_field(path, None, said, Direction.WEAKENS) for said in new if said not in old]
    fields += [_field(path, said, None, less) for said in old if said not in new]
    if not fields:
        return None
    direction = max((field.direction for field in fields), key=lambda each: each.rank)
    return DocumentChange(KIND, path, DocumentVerb.CHANGED, direction, tuple(fields))


def _field(path: str, before: str | None, after: str | None, direction: Direction) -> DocumentField:
    digest = change_hash(KIND, path, "signer", before, after, direction)
    return DocumentField("signer", before, after, direction, digest, note="may sign as an approver" if after else "")


def in_force(before: str | None, after: str | None, agreed: frozenset[str], path: str) -> str | None:
    """The text that counts: without what was taken out, and of what was added, or was the last of them, only what
    somebody agreed to. By a file that is not there nobody signs, neither before it came nor by what it brings."""
    old, new = keys(before), keys(after)
    change = signer_changes(path, before, after)
    fields = change.fields if change is not None else ()
    waiting = [field for field in fields if field.direction.needs_consent and field.change_hash not in agreed]
    added, gone = ({getattr(field, side) for field in waiting} for side in ("after", "before"))
    kept = [line for said, line in new.items() if said not in added]
    return "\n".join([*kept, *(line for said, line in old.items() if said in gone), ""])
