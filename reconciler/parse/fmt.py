"""Formatting: a policy file's text -> the same in one layout, comments kept. What it means never changes.

ruamel.yaml reads and writes with comments; our own loader, which stays the one that counts, checks that both texts say
the same.
"""

from __future__ import annotations

import io
from typing import Any

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.parse.load import load

_PASSES = 4


def formatted(file: str, text: bytes) -> tuple[bytes, tuple[Diagnostic, ...]]:
    """The file in one layout: blanks of two, lists set in, no trailing blanks, one newline at the end. A file that is
    wrong, or would not mean the same, comes back as it was, with the reason. Lines that all end as Windows ends them go
    on to: Git for Windows writes them so, and a check of the layout is none of that."""
    bare = text.replace(b"\r\n", b"\n")
    if text.count(b"\r\n") != bare.count(b"\n") or bare == text:
        return _formatted(file, text)
    after, findings = _formatted(file, bare)
    return after.replace(b"\n", b"\r\n"), findings


def _formatted(file: str, text: bytes) -> tuple[bytes, tuple[Diagnostic, ...]]:
    documents, wrong = load(file, text)
    if wrong:
        return text, wrong
    if not documents:
        return text, ()
    meant = [document.root.plain() for document in documents]
    before = text
    for _ in range(_PASSES):
        after = _laid_out(before)
        if after is None:
            break
        again, mistakes = load(file, after)
        if mistakes or [document.root.plain() for document in again] != meant or _comments(after) != _comments(text):
            break
        if after == before:
            return after, ()
        before = after
    remedy = "Nothing was changed; format this file by hand."
    what = "the file cannot be formatted without a change of what it says"
    return text, (Diagnostic("RCL1073", Severity.WARNING, what, remedy, Location(file)),)


def _laid_out(text: bytes) -> bytes | None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 150
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.BytesIO()
    try:
        documents: list[Any] = list(yaml.load_all(text.decode("utf-8-sig")))
        yaml.dump_all(documents, out)
    except (YAMLError, ValueError, NotImplementedError):
        return None
    lines = [line.rstrip() for line in out.getvalue().decode().split("\n")]
    return ("\n".join(lines).strip("\n") + "\n").encode()


def _comments(text: bytes) -> list[str]:
    """Every line's comment, roughly: what stands after the last ` #` or from a leading one."""
    found = []
    for line in text.decode("utf-8-sig").splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            found.append(stripped)
        elif " #" in line:
            found.append("#" + line.rpartition(" #")[2].strip())
    return sorted(found)
