"""A finding as a value: code, severity, what is wrong, where, and what to do next."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


class Location(msgspec.Struct, frozen=True, order=True):
    """A place in a text file; line and column count from 1. `file` is relative to the root."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Diagnostic(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One error, warning or advice.

    `code` is stable and explained by ``reconciler explain CODE``; `message` says what and why,
    `remedy` what to do next; `subject` names the thing it is about (a group, a virtual machine, a file)
    where there is no place in a policy to point at; `also` lists further places.
    """

    code: str
    severity: Severity
    message: str
    remedy: str
    location: Location | None = None
    subject: str = ""
    also: tuple[Location, ...] = ()

    def __str__(self) -> str:
        where = str(self.location) if self.location else self.subject
        others = "".join(f" (also {place})" for place in self.also)
        parts = [where] if where else []
        help = f"; help: {self.remedy}" if self.remedy else ""
        return ": ".join([*parts, f"{self.severity}[{self.code}]", self.message + others + help])


def sort_key(diagnostic: Diagnostic) -> tuple[str, int, int, str, str, str]:
    """Orders diagnostics by place, then code, whatever order they were found in."""
    place = diagnostic.location or Location("", 0, 0)
    return (place.file, place.line, place.column, diagnostic.code, diagnostic.subject, diagnostic.message)
