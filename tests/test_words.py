"""The vocabulary of what people read: one word for one thing, in messages, explanations, schemas and pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import codes

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"

#: What is not said, and what is.
NOT_SAID = {
    r"(?<![Vv]irtual )(?<!virtual-)\bmachines?\b": "virtual machine, or host",
    r"\bfirst cop(y|ies)\b": "initial replica",
    r"\b(somebody's|a|says|said|say) yes\b": "approval (of a change), confirmation (in a terminal)",
    r"(?<!would )\bmistakes?\b": "error",
    r"\b(behind our back|past the policies|passed over the policies)\b": "outside reconciler",
    r"\bours\b": "owned by this site",
    r"\banew\b": "again; rebuilt",
    r"\bfor ever\b": "forever",
    r"\bcounts? no more\b": "is no longer in effect",
    r"\bby itself\b": "automatically",
    r"\bcut off\b": "interrupted; truncated",
    r"\bdoes not read\b(?! back| a | it)": "cannot be read",
    r"\b(taken|take|takes) back\b": "reverted; withdrawn",
    r"\b[Ll]ook at (the|that|this|its|what)\b": "check; review",
    r"(^|[.;] )Else\b": "Otherwise",
    r"\b(too old now|set it going|taken for a yes|is milder|in their spirit)\b": "plain words",
    r"\bis not there\b": "is missing",
    r"\bcomes? in a later version\b|by a later version": "what this version does",
}

#: Texts that are said nevertheless: file (from the root) and a part of the text.
EXCEPTIONS = {
    "reconciler/control/state/committed_files.py": ("committed by mistake",),
    "reconciler/control/loop/tick.py": ("by itself",),  # a record of evidence; reports say it in words
    "reconciler/report/evidence.py": ("by itself",),
    "reconciler/errors/codes.md": ("committed by mistake", "started by mistake"),
}
#: Pages that tell of the past, or compare words.
PAST = ("docs/proofs.md", "docs/adr/", "docs/glossary.md")


def said_wrong(name: str, text: str) -> Iterator[str]:
    """What is wrong with a text of a file."""
    for allowed in EXCEPTIONS.get(name, ()):
        text = text.replace(allowed, "")
    for pattern, better in NOT_SAID.items():
        for found in re.finditer(pattern, text):
            yield f"{name}: {text[max(0, found.start() - 40) : found.end() + 30]!r}: {better}"


def literals(tree: ast.Module) -> Iterator[str]:
    """The texts of a module with a blank in them, f-strings without what is filled in; no docstrings, no SQL."""
    described = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in described:
            continue
        if " " in node.value.strip() and not re.search(r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE)\b", node.value):
            yield node.value


@pytest.mark.parametrize("room", sorted(path.name for path in PACKAGE.iterdir() if not path.name.startswith("__")))
def test_messages_use_the_words(room: str) -> None:
    place = PACKAGE / room
    wrong = [
        each
        for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.suffix == ".py" else [])
        for text in literals(ast.parse(path.read_text(encoding="utf-8")))
        for each in said_wrong(path.relative_to(ROOT).as_posix(), text)
    ]
    assert not wrong, "\n".join(wrong)


def test_explanations_use_the_words() -> None:
    wrong = []
    for code, entry in codes().items():
        for text in entry:
            wrong += [f"{code} {each}" for each in said_wrong("reconciler/errors/codes.md", text)]
    assert not wrong, "\n".join(wrong)


def test_titles_of_explanations_are_noun_phrases() -> None:
    """They stand where a sentence has a noun: no article, no question, no capital, no full stop."""
    for code, entry in codes().items():
        assert not re.match(r"(an?|the|there|this) ", entry.title), (code, entry.title)
        assert entry.title[-1] not in ".?!", (code, entry.title)
        assert entry.remedy[0].isupper() or entry.remedy[0] in "`-", (code, entry.remedy)
        assert entry.remedy.endswith("."), (code, entry.remedy)


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
def test_pages_use_the_words(page: str) -> None:
    if page.startswith(PAST):
        return
    text = (ROOT / page).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)
    wrong = list(said_wrong(page, text))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("text", ["a machine", "3 machines", "look at the disk", "made anew", "it is tried by itself"])
def test_the_test_finds_them(text: str) -> None:
    assert list(said_wrong("docs/x.md", text))
