"""Values -> a page of HTML in one file that needs nothing else; whatever it shows of strangers comes escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from reconciler.errors import Location
from reconciler.report.escape import html_templates, safe
from reconciler.report.messages import parts
from reconciler.report.values import content, shown
from reconciler.report.words import Tone, moment

if TYPE_CHECKING:
    import jinja2


#: What the cells of a column are. A name or a moment heads its row.
Kind = Literal["name", "moment", "text", "time", "number", "state", "code", "message"]


class Column(NamedTuple):
    """A column of a table: what stands above it, and what its cells are."""

    label: str
    kind: Kind = "text"


class Toned(NamedTuple):
    """A cell whose words have a colour too."""

    text: str
    tone: Tone


class Grid(NamedTuple):
    """A table: its caption, its columns, and its rows, a cell for each column. `filtered`: the filter of the page
    looks through its rows. `even`: its columns are as wide as those of its neighbours."""

    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[tuple[str | Toned, ...]]
    filtered: bool = False
    even: bool = False


class Tile(NamedTuple):
    """A number in large print, with what it counts; coloured only where that is worth a look."""

    number: str
    label: str
    tone: Tone | None = None


class _Digests(NamedTuple):
    """SHA-256 of the stylesheet and the script, in base64: a browser runs and applies these and nothing else."""

    style: str
    script: str


def page(template: str, **values: Any) -> str:
    """The page that a template of this room makes of the values; `title` is among them."""
    return _templates().get_template(template).render(digests=_digests(), **values)


@cache
def _templates() -> jinja2.Environment:
    environment = html_templates()
    environment.filters |= {
        "place": _place,
        "parts": parts,
        "shown": shown,
        "content": content,
        "labelled": _labelled,
        "moment": _moment,
    }
    return environment


@cache
def _digests() -> _Digests:
    return _Digests(_digest("style.css"), _digest("filter.js"))


def _digest(name: str) -> str:
    text = _templates().get_template(name).render()
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _place(location: Location | None) -> str:
    return safe(str(location)) if location is not None else ""


def _labelled(row: tuple[str | Toned, ...], columns: tuple[Column, ...]) -> list[tuple[Column, str | Toned]]:
    return list(zip(columns, row, strict=True))


def _moment(at: datetime) -> str:
    return moment(at, UTC)
