"""Messages -> what each form makes of their code: HTML marks it up, Markdown keeps the backticks, text has quotes."""

from __future__ import annotations

import re
from typing import NamedTuple

from reconciler.report.escape import code, md


class Part(NamedTuple):
    """A piece of a message; what stood between backticks is code."""

    text: str
    is_code: bool


#: What a message marks as code: it begins and ends in one line, and is not empty.
_CODE = re.compile("`([^`\n]+)`")


def parts(message: str) -> list[Part]:
    """A message, cut at its pairs of backticks, which are left out; one without a partner stays where it is."""
    pieces = _CODE.split(message)
    return [Part(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece]


def quoted(message: str) -> str:
    """A message in plain text: code between quotes, as a terminal shows it, instead of backticks, which shells run."""
    if "`" not in message:
        return message
    return "".join(f"'{part.text}'" if part.is_code else part.text for part in parts(message))


def md_message(message: str) -> str:
    """A message in Markdown: its code stays code, all else is escaped."""
    return "".join(code(part.text) if part.is_code else md(part.text) for part in parts(message))
