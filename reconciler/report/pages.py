"""Values -> a page of HTML in one file that needs nothing else; whatever it shows of strangers comes escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.errors import Location
from reconciler.report.escape import html_templates, safe
from reconciler.report.values import content, shown
from reconciler.report.words import parts

if TYPE_CHECKING:
    import jinja2


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
    environment.filters |= {"place": _place, "parts": parts, "shown": shown, "content": content}
    return environment


@cache
def _digests() -> _Digests:
    return _Digests(_digest("style.css"), _digest("filter.js"))


def _digest(name: str) -> str:
    text = _templates().get_template(name).render()
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _place(location: Location | None) -> str:
    return safe(str(location)) if location is not None else ""
