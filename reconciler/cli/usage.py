"""Slips on the command line: what typer found -> one diagnostic that says what is wrong and what to type."""

from __future__ import annotations

import re
from typing import Any

from reconciler.errors import Diagnostic, Severity, UsageError

#: How options were spelt before.
_FORMER = {"--format": "--output"}
_NOT_ONE_OF = re.compile(r"'(.*)' is not one of ")
_NO_NUMBER = re.compile(r"'(.*)' is not a valid int")
_EXTRA = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", re.DOTALL)


def usage_diagnostic(error: Any) -> Diagnostic:
    """RCL0003 for an error of typer, which has a `format_message`."""
    context = error.ctx if getattr(error, "ctx", None) is not None else None
    command = context.command_path if context is not None else "reconciler"
    what, remedy = _said(error, context)
    return Diagnostic("RCL0003", Severity.ERROR, what, f"{remedy} See `{command} --help`.".lstrip(), subject=command)


def unknown_command(word: str, known: list[str], above: str) -> UsageError:
    """RCL0003 for a command that there is not."""
    meant = _meant(word, known)
    remedy = f"Did you mean {meant}?" if meant else f"Known here: {', '.join(known)}." if len(known) < 8 else ""
    what = f"there is no command {word!r}"
    return UsageError("RCL0003", what, f"{remedy} See `{above} --help`.".lstrip(), subject=above)


def asks_for_json(words: list[str]) -> bool:
    """Whether `-o json` is among the words, of which not all could be read."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    return any(
        (one in ("-o", "--output") and two == "json") or one in ("--output=json", "-ojson") for one, two in pairs
    )


def _said(error: Any, context: Any) -> tuple[str, str]:
    kind = type(error).__name__
    parameter = getattr(error, "param", None)
    usage = " ".join(context.get_usage().split()) if context is not None else ""
    if kind == "MissingParameter" and parameter is not None:
        return f"missing {parameter.param_type_name} {_name_of(parameter)}", f"{usage}."
    if kind == "NoSuchOption":
        return f"there is no option {error.option_name}", _other_option(error.option_name, context)
    if kind == "BadOptionUsage" and "requires an argument" in str(error.message):
        return f"the option {error.option_name} has no value", "Write one behind it."
    message = str(error.format_message())
    if extra := _EXTRA.fullmatch(message):
        return f"unexpected argument {extra[1]}", f"{usage}."
    if parameter is not None:
        chosen = _NOT_ONE_OF.match(str(error.message))
        if chosen is not None:
            what = f"{_name_of(parameter)}: {chosen[1]!r} is not one of its values"
            return what, _choice(chosen[1], parameter, context)
        if number := _NO_NUMBER.match(str(error.message)):
            return f"{_name_of(parameter)}: {number[1]!r} is not a whole number", "Write digits."
        return f"{_name_of(parameter)}: {str(error.message).rstrip('.')}", ""
    return message.rstrip("."), ""


def _name_of(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.human_readable_name)
    return str(max(parameter.opts, key=len))


def _choice(value: str, parameter: Any, context: Any) -> str:
    values = [str(getattr(each, "value", each)) for each in parameter.type.choices]
    options = _options(context)
    if parameter.name == "output" and "--out" in options and any(letter in value for letter in "./\\"):
        return f"To write a file give --out {value}."
    meant = _meant(value, values)
    return f"Did you mean {meant}?" if meant else f"Write one of {', '.join(values)}."


def _other_option(name: str, context: Any) -> str:
    options = _options(context)
    former = [old for old, now in _FORMER.items() if now in options]
    bare = _meant(
        name.lstrip("-"), [each.removeprefix("--") for each in (*options, *former)]
    )  # dashes are alike in all
    meant = f"--{bare}"
    return f"Did you mean {_FORMER.get(meant, meant)}?" if bare else ""


def _options(context: Any) -> list[str]:
    if context is None:
        return []
    found = [name for each in context.command.get_params(context) for name in (*each.opts, *each.secondary_opts)]
    return [name for name in found if name.startswith("--")]


def _meant(word: str, known: list[str]) -> str | None:
    from reconciler.model.similar_names import meant

    return meant(word, known)
