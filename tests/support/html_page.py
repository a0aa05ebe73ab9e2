"""A page of HTML -> what a person with a keyboard, a screen reader or a narrow window needs of it; its colours."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import NamedTuple

#: Tags that have no end.
VOID = {"meta", "input", "br", "path", "rect", "line"}


class Tag(NamedTuple):
    """One element: its name, its attributes, and the elements that it is in."""

    name: str
    attrs: dict[str, str]
    within: tuple[str, ...]


class Page(HTMLParser):
    """The elements in their order and the text. Fails where they are not nested well."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[Tag] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}, tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}, tuple(self._open)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, *names: str) -> list[Tag]:
        return [tag for tag in self.tags if tag.name in names]


def check_accessible(page: Page) -> None:
    """What can be told of WCAG from the page alone."""
    (root,) = page.all("html")
    assert root.attrs["lang"] == "en"
    for landmark in ("title", "main", "h1"):
        assert len([tag for tag in page.all(landmark) if "svg" not in tag.within]) == 1, landmark
    assert next(tag.within for tag in page.all("header")) == ("html", "body")
    levels = [int(tag.name[1]) for tag in page.all("h1", "h2", "h3", "h4")]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    for tag in page.all("th"):
        assert tag.attrs.get("scope") in ("col", "row"), tag
    assert len(page.all("tbody")) >= len(page.all("table"))
    ids = [tag.attrs["id"] for tag in page.tags if "id" in tag.attrs]
    assert len(set(ids)) == len(ids)
    labels = {tag.attrs["for"] for tag in page.all("label")}
    for tag in page.all("input"):
        assert tag.attrs["id"] in labels, tag
    for tag in page.all("svg"):
        assert tag.attrs["role"] == "img", tag
        assert tag.attrs["aria-label"], tag
    for tag in page.tags:
        assert int(tag.attrs.get("tabindex", "0")) == 0, tag
        assert not [name for name in tag.attrs if name.startswith("on") or name == "style"], tag
        assert "tabindex" not in tag.attrs or (tag.attrs.get("role") and tag.attrs.get("aria-label")), tag
        fetched = [name for name in tag.attrs if name in ("src", "srcset", "action", "xlink:href", "data", "poster")]
        assert not fetched, tag
        assert "href" not in tag.attrs or tag.attrs["href"][1:] in ids, tag


def settled(text: str) -> str:
    """A page without the stylesheet and the script that all pages share, for golden files."""
    text = re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", text, flags=re.DOTALL)
    return re.sub(r"sha256-[\w+/=]{44}", "sha256-DIGEST", text)


# --- Contrast --------------------------------------------------------------------------------------------------

_SET = re.compile(r"--([\w-]+): (#[0-9a-f]{6})")


def colours(style: str) -> dict[str, dict[str, str]]:
    """The variables of the stylesheet that are colours, in light and in dark mode."""
    dark_at, dark_end = style.index("prefers-color-scheme: dark"), style.index("* { box-sizing")
    light = dict(_SET.findall(style[:dark_at]))
    return {"light": light, "dark": light | dict(_SET.findall(style[dark_at:dark_end]))}


def contrast(one: str, other: str) -> float:
    """As WCAG 2 computes it: 1 to 21."""
    dark, bright = sorted((_luminance(one), _luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
