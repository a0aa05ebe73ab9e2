"""Candidates: the words typed so far -> lines for the shell. Quick, silent, and never a failure."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: After so many seconds there are no candidates: somebody waits with a finger on the key.
PATIENCE_SECONDS = 2.0

#: No list that is longer helps anybody.
_MOST = 500

#: What no shell takes for anything but a letter.
_PLAIN = re.compile(r"[A-Za-z0-9_./@%+,=-]+")
_SHELLS = ("bash", "zsh", "fish", "powershell")


class Candidate(NamedTuple):
    """What may be typed, and what it is, in a few words."""

    value: str
    help: str = ""


def answer(words: Sequence[str]) -> None:
    """Prints the candidates for ``SHELL WORD... =WORD`` and ends the process, whatever is still being looked at: by
    then nothing is open for writing."""
    found: list[str] = []

    def look() -> None:
        try:
            found.extend(lines(words))
        except BaseException:  # a shell that completes shows no trace; the command itself says what is wrong
            found.clear()

    out, sys.stdout, sys.stderr = sys.stdout, open(os.devnull, "w"), open(os.devnull, "w")  # noqa: PTH123, SIM115
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(PATIENCE_SECONDS)
    out.write("".join(f"{line}\n" for line in [*found]))
    out.flush()
    os._exit(0)


def lines(words: Sequence[str]) -> list[str]:
    """One line for each candidate, as the shell needs it."""
    shell, before, word = _asked(words)
    if shell == "bash":
        before, word = _joined(before, word)
    quote = word[:1] if word[:1] in ("'", '"') else ""
    typed = _unquoted(word) if shell in ("bash", "powershell") else word
    if shell == "bash":
        before = [_unquoted(each) for each in before]
    head = ""
    if shell != "bash" and typed.startswith("--") and "=" in typed:
        head = typed.partition("=")[0] + "="
    shown = []
    for value, help in candidates(before, typed)[:_MOST]:
        text = _in_shell(shell, head + value, quote)
        if text is not None:
            shown.append(text if shell == "bash" else f"{text}\t{_one_line(help)}")
    return shown


def candidates(before: list[str], word: str) -> list[Candidate]:
    """What may stand in the place of `word`, behind the words before it."""
    from typer.main import get_command

    from reconciler.cli.errors import COMMANDS
    from reconciler.cli.options import app

    assert COMMANDS  # they are in the application once they are loaded
    try:
        from typer._click.shell_completion import ShellComplete
    except ImportError:  # a typer that stands on click
        from click.shell_completion import ShellComplete  # type: ignore[assignment]

    class Words(ShellComplete):
        """The words come as arguments, and go as lines of this module: nothing of a shell is needed."""

        name = source_template = ""

        def get_completion_args(self) -> tuple[list[str], str]:
            return before, word

        def format_completion(self, item: object) -> str:
            return str(item)

        def source_vars(self) -> dict[str, object]:
            return {}

    items = Words(get_command(app), {}, "reconciler", "").get_completions(before, word)
    return [Candidate(item.value, item.help or "") for item in items if item.type == "plain"]


def _asked(words: Sequence[str]) -> tuple[str, list[str], str]:
    """The shell, the words before the cursor and the one at it."""
    shell, *rest = words
    if shell not in _SHELLS:
        raise ValueError(shell)
    if rest and rest[-1].startswith("="):
        return shell, rest[:-1], rest[-1][1:]
    return shell, rest, ""


def _joined(before: Iterable[str], word: str) -> tuple[list[str], str]:
    """The words as they were typed: bash takes ``--output=json`` for three."""
    joined: list[str] = []
    for each in [*before, word]:
        if joined and (each == "=" or joined[-1].endswith("=")) and joined[-1].startswith("--"):
            joined[-1] += each
        else:
            joined.append(each)
    return joined[:-1], joined[-1]


def _unquoted(word: str) -> str:
    """A word without the quotes and backslashes of the shell; one that is still open ends where it ends."""
    if word[:1] in ("'", '"'):
        return word[1:].removesuffix(word[0])
    return re.sub(r"\\(.)", r"\1", word)


def _in_shell(shell: str, value: str, quote: str) -> str | None:
    """The value as the shell takes it for one word and nothing else. None where that cannot be: names that have what
    cannot be typed, and those that would have to be quoted within a quote that is open."""
    if not value.isprintable() or not value:
        return None
    if shell in ("zsh", "fish") or _PLAIN.fullmatch(value):
        return value  # these two quote by themselves what is chosen
    if shell == "powershell":
        return "'" + value.replace("'", "''") + "'"
    if quote:
        return value if not set(value) & set("'\"\\$`!") else None
    return re.sub(r"([^A-Za-z0-9_./@%+,=-])", r"\\\1", value)


def _one_line(help: str) -> str:
    one = " ".join(help.split())
    return one if one.isprintable() else ""
