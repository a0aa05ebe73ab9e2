"""Text from outside -> Markdown that shows it as it is: no markup, no links, no mentions."""

from __future__ import annotations

import re

from reconciler.report.words import safe

_MARKUP = "\\`*_[]|#~"
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_RUNS = re.compile("`+")


def md(text: str) -> str:
    """The text with what Markdown would read as markup escaped, and what a forge would read as a mention or a link
    broken by a word joiner."""
    escaped = "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in safe(text))
    joined = _MENTION.sub("@\u2060", escaped).replace("://", ":\u2060//")
    return joined.replace("&", "&amp;").replace("<", "&lt;")


def code(text: str) -> str:
    """The text as code, whatever backticks are in it; a dash where it is empty."""
    plain = safe(text).strip()
    if not plain:
        return "-"
    fence = "`" * (1 + max((len(run) for run in _RUNS.findall(plain)), default=0))
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def cell(text: str) -> str:
    """The same in a table."""
    return code(text).replace("|", "\\|")


def cut(text: str, most: int) -> str:
    """The text, or its first `most` characters less three, and dots."""
    return text if len(text) <= most else text[: most - 3] + "..."
