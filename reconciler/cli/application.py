"""The help of commands: what the table and the arguments say -> text of 80 columns, with nothing cut short."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from typer import Context, Typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from reconciler.cli.command_table import TABLE, Panel
from reconciler.cli.output_settings import SETTINGS, JsonMode
from reconciler.errors import MEANINGS

#: Options that mean the same wherever they are; the help shows them after a command's own.
COMMON = ("root", "site", "now", "quiet", "verbose", "no_color", "help")

#: These live for seconds; the collector would walk every document and virtual machine again and again.
_BRIEF = {"validate", "plan", "diff", "drift", "approve", "coverage", "members", "preflight"}


def _flag(names: list[str], help: str, turn: Callable[[], None]) -> TyperOption:
    def turned(context: Context, parameter: object, value: bool) -> None:
        if value and not context.resilient_parsing:
            turn()

    return TyperOption(
        param_decls=names,
        is_flag=True,
        default=False,
        expose_value=False,
        callback=turned,
        help=help,
        show_default=False,
    )


def _flags() -> list[Any]:
    """The options that stand before the command or behind it."""
    return [
        _flag(["-q", "--quiet"], "No progress, remarks or advice on stderr.", SETTINGS.be_quiet),
        _flag(["-v", "--verbose"], "Say on stderr what is read and asked, and explain errors.", SETTINGS.be_verbose),
        _flag(["--no-color"], "No colors; as with NO_COLOR in the environment.", SETTINGS.be_plain),
    ]


class Command(TyperCommand):
    """A command: its help ends with examples and exit codes."""

    def __init__(self, name: str | None, *, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(name, params=[*(params or []), *_flags()], **settings)

    def get_short_help_str(self, limit: int = 0) -> str:
        return summary(self)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def invoke(self, ctx: Any) -> Any:
        if path_of(ctx) in _BRIEF:
            gc.disable()
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self.get_params(ctx), ctx, formatter)
        row = TABLE.get(path_of(ctx))
        if row is None:
            return
        with formatter.section("Examples"):
            for example in row.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code:3d}", MEANINGS[code]) for code in row.codes])


class Group(TyperGroup):
    """The application, or a group of commands: its help shows the commands in their panels."""

    def __init__(self, *, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(params=[*(params or []), *_flags()], **settings)

    def get_short_help_str(self, limit: int = 0) -> str:
        return summary(self)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing and not args[0].startswith("-"):
            from reconciler.cli.usage import unknown_command

            shown = [name for name, command in self.commands.items() if not command.hidden]
            raise unknown_command(args[0], shown, ctx.command_path)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Nothing behind a command that there is not."""
        return [] if ctx.args or getattr(ctx, "_protected_args", ()) else super().shell_complete(ctx, incomplete)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        above = path_of(ctx)
        rows: dict[Panel, list[tuple[str, str]]] = {}
        for path, row in TABLE.items():
            name = path.removeprefix(f"{above} ").partition(" ")[0]
            command = self.commands.get(name) if path.startswith(above) else None
            shown = rows.setdefault(row.panel, [])
            if command is not None and not command.hidden and all(name != other for other, _ in shown):
                shown.append((name, summary(command)))
        for panel in Panel:
            if rows.get(panel):
                with formatter.section(panel if not above else "Commands"):
                    formatter.write_dl(rows[panel])
        _write_options(self.get_params(ctx), ctx, formatter)
        with formatter.section("More"):
            of_group = f"{above} " if above else ""
            formatter.write_text(f"`reconciler {of_group}COMMAND --help` shows arguments, examples and exit codes.")


class Application(Typer):
    """A typer application whose commands and groups are those of this module."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, no_args_is_help=True, rich_markup_mode=None, add_completion=False, **settings)

    def command(self, *words: Any, **settings: Any) -> Callable[[Any], Any]:
        return super().command(*words, cls=Command, **settings)

    def add_typer(self, *words: Any, **settings: Any) -> None:
        super().add_typer(*words, cls=Group, **settings)


def write_json(path: str) -> None:
    """From here on everything that a command says is JSON: events where it is an action."""
    row = TABLE.get(path)
    mode = JsonMode.EVENTS if row is not None and row.events else JsonMode.REPORT
    SETTINGS.write_json(mode, path)


def path_of(context: Context) -> str:
    """The words of a command behind `reconciler`."""
    return context.command_path.partition(" ")[2]


def summary(command: Any) -> str:
    """The first sentence of a command's help, whole: however long, it is not cut short."""
    first = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    return " ".join(first.split()).partition(". ")[0].removesuffix(".") + "."


def every_command(root: Any) -> Iterator[tuple[str, Any]]:
    """Each command that does something, with its words behind `reconciler`; the hidden ones too."""
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {below}", each) for below, each in every_command(command))
        else:
            yield name, command


def _write_options(parameters: Iterable[Any], context: Context, formatter: Any) -> None:
    arguments, own, common = [], [], []
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(record)
        elif parameter.name in COMMON:
            common.append((COMMON.index(parameter.name), record))
        else:
            own.append(record)
    for title, records in (
        ("Arguments", arguments),
        ("Options", own),
        ("Common options", [record for _, record in sorted(common)]),
    ):
        if records:
            with formatter.section(title):
                formatter.write_dl(records, col_max=24)
