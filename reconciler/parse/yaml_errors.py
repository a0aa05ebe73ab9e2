"""What the YAML parser stumbled over -> where it really is, and what to do, in plain words."""

from __future__ import annotations

import re

import yaml

from reconciler.errors import Diagnostic, Location, Severity

_NO_BLANK = re.compile(r"([A-Za-z]\w*):(\S.*)")
_BEGINS = re.compile(r"[^\s,\[\]{}]+")


def said_of(file: str, lines: list[str], first: int, error: yaml.YAMLError) -> Diagnostic:
    """The parser's error in a text that began at the line `first` (from 0) of a file."""
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed")
    context = str(getattr(error, "context", None) or "")
    here = _place(file, first, getattr(error, "problem_mark", None))
    began = _place(file, first, getattr(error, "context_mark", None)) if context else here
    line = _line(lines, here)
    if template := next((each for each in (began, here) if "{{" in _line(lines, each)), None):
        at = Location(file, template.line, _line(lines, template).index("{{") + 1)
        return _error("RCL1012", "this looks like a template that was not rendered", "Render the template first.", at)
    if "\t" in line[: here.column]:
        tab = Location(file, here.line, line.index("\t") + 1)
        return _error("RCL1006", "a tab; YAML is indented with spaces", "Replace it with spaces.", tab)
    if "could not find expected ':'" in problem:
        return _without_colon(lines, began)
    what, remedy, where = _said(context, problem, _word(lines, began), began, here)
    return _error("RCL1005", f"not YAML: {what}", remedy, where)


def _without_colon(lines: list[str], began: Location) -> Diagnostic:
    """A line that begins as a field and is none."""
    written = _line(lines, began)[began.column - 1 :].strip()
    found = _NO_BLANK.fullmatch(written)
    if found is not None:
        remedy = f"A space is missing after the colon: {found[1]}: {found[2]}."
        return _error("RCL1005", f"not YAML: {found[1]}:{found[2]} is no field", remedy, began)
    what = f"{written[:60]!r} has no colon, so it is no field"
    return _error("RCL1005", f"not YAML: {what}", "Write a colon and a space after the name of a field.", began)


def _said(context: str, problem: str, word: str, began: Location, here: Location) -> tuple[str, str, Location]:
    """What is wrong, what to do, and where."""
    if "unknown escape character" in problem:
        return (
            "in double quotes \\ begins an escape, and this is not one",
            "Write \\\\ for a backslash, or use single quotes.",
            here,
        )
    if "quoted scalar" in context and "unexpected" in problem:
        return "the quote that opens here is never closed", "Close it with the same quote.", began
    if "a tag" in context:
        return f"{word} without quotes is a tag", f'A value that begins with ! is quoted: "{word}".', began
    if "an alias" in context or "an anchor" in context:
        return (
            f"{word} without quotes is an alias or an anchor",
            f'A pattern that begins so is quoted: "{word}".',
            began,
        )
    if "cannot start any token" in problem:
        return f"a value cannot begin with {word[:1]}", f'Quote it: "{word}".', here
    if "did not find expected node content" in problem:
        remedy = "Write the value; a list within brackets has commas and no hyphens."
        return "a value is expected here", remedy, here
    if "flow sequence" in context or "flow mapping" in context:
        opened = "[" if "sequence" in context else "{"
        closed = "]" if opened == "[" else "}"
        what = f"the {opened} that opens here is not closed before line {here.line}, or a comma is missing"
        return what, f"Close it with {closed}, and put commas between items.", began
    if "mapping values are not allowed" in problem:
        remedy = "Indent it as its neighbours are; quote a value that holds a colon and a space."
        return "a colon that does not fit here", remedy, here
    if "did not find expected key" in problem:
        remedy = "Indent it as its neighbours are; double a quote that stands within single quotes."
        return "this is neither a field nor the end of the value before it", remedy, here
    told = f"{context + ', ' if context else ''}{problem}"
    return told, "Check this line and the one before: indentation, quotes, colons.", here


def _line(lines: list[str], where: Location) -> str:
    return lines[where.line - 1] if where.line <= len(lines) else ""


def _word(lines: list[str], where: Location) -> str:
    """What stands at a place, up to where a value in brackets ends."""
    found = _BEGINS.match(_line(lines, where), where.column - 1)
    return found[0][:60] if found else ""


def _place(file: str, first: int, mark: yaml.Mark | None) -> Location:
    return Location(file, first + mark.line + 1, mark.column + 1) if mark is not None else Location(file, first + 1)


def _error(code: str, what: str, remedy: str, where: Location) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, what, remedy, where)
