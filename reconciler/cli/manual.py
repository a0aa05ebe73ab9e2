"""The manual: the commands with their help, the table of commands -> one page for `man`, in roff.

``python -m reconciler.cli.manual FILE`` writes it; `make man` does that.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from typer import Context
from typer.main import get_command

from reconciler import __version__, files
from reconciler.cli.application import COMMON, every_command, summary
from reconciler.cli.command_table import TABLE, Panel
from reconciler.cli.errors import COMMANDS
from reconciler.cli.options import app
from reconciler.errors import MEANINGS

_DESCRIPTION = """\
Protection groups, retention, synchronization and consistency checks of virtual machines are written in YAML, in Git.
reconciler reads what the cluster and the backup catalog hold, shows the difference, applies it, runs the jobs, keeps
it so, and recovers virtual machines.

Commands are given in the root, the folder that holds policies/, or anywhere with \\fB-C\\fR \\fIDIR\\fR.
"""

_FILES = (
    ("policies/", "The policies: every *.yaml below it."),
    ("tests/policies/", "Cases of guardrails, for `reconciler policy test`."),
    (".reconciler/", "What this computer notes of the site: where its state is, the last good policies. Not for Git."),
    ("var/", "State, evidence and stores, where the Site names no other places. Not for Git."),
)


def manual() -> str:
    """The page, as roff with the macros of man(7)."""
    assert COMMANDS, "they are in the application once they are imported"
    root: Any = get_command(app)
    commands = {path: command for path, command in every_command(root) if not command.hidden}
    lines = [
        f'.TH RECONCILER 1 "" "reconciler {__version__}" "User Commands"',
        ".SH NAME",
        f"reconciler \\- {_text(summary(root).removesuffix('.'))}",
        ".SH SYNOPSIS",
        ".B reconciler",
        "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *_paragraphs(_DESCRIPTION, escaped=True),
    ]
    for panel in Panel:
        shown = [path for path, row in TABLE.items() if row.panel is panel and path in commands]
        lines.append(f'.SH "{panel}"')
        for path in shown:
            lines += _command(path, commands[path], Context(root, info_name="reconciler"))
    lines.append('.SH "COMMON OPTIONS"')
    common = {each.name: each for path in commands for each in commands[path].params if each.name in COMMON}
    records = [common[name].get_help_record(Context(root)) for name in COMMON if name in common]
    lines += _list(record for record in records if record is not None)
    lines.append(".SH EXIT STATUS")
    lines += _list((str(int(code)), meaning) for code, meaning in MEANINGS.items())
    lines.append(".SH FILES")
    lines += _list(_FILES)
    lines.append(".SH ENVIRONMENT")
    lines += _list([("NO_COLOR", "Anything: no colors.")])
    return "\n".join(lines) + "\n"


def _command(path: str, command: Any, above: Context) -> Iterator[str]:
    """One command: how it is typed, what it does, its options, examples and codes."""
    context = Context(command, info_name=path, parent=above)
    yield f'.SS "reconciler {_text(path)}"'
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"\\fBreconciler {_text(path)}\\fR {_text(pieces)}"
    yield ".PP"
    yield from _paragraphs(command.help or "")
    own = [each for each in command.get_params(context) if each.name not in COMMON]
    yield from _list(record for each in own if (record := each.get_help_record(context)) is not None)
    row = TABLE[path]
    yield ".PP"
    yield "Examples:"
    yield ".EX"
    yield from (_text(example) for example in row.examples)
    yield ".EE"
    yield ".PP"
    yield f"Exit status: {', '.join(str(int(code)) for code in row.codes)}."


def _paragraphs(text: str, *, escaped: bool = False) -> Iterator[str]:
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        plain = " ".join(paragraph.split())
        yield plain if escaped else _text(plain)


def _list(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, meaning in rows:
        yield ".TP"
        yield f"\\fB{_text(term)}\\fR"
        yield _text(" ".join(meaning.split()))


def _text(text: str) -> str:
    """Text as roff takes it literally: no escape, no request at the beginning of a line, hyphens that can be copied."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{plain}" if plain.startswith(".") else plain


def main() -> None:
    """Writes the page to the file that is named."""
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(target, manual().encode(), 0o644)


if __name__ == "__main__":
    main()
