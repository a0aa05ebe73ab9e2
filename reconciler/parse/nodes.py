"""Nodes: YAML as it stands in its files: plain values, each with its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.errors import Location


class Node:
    """One value. `children` of a mapping are by key, of a list by index; `keys` are the places of a mapping's keys.
    `size` counts the nodes in it, aliases expanded. `written` is how a value that is no text stands in the file;
    `style` is the quote or the sign of the block that a text stands in."""

    __slots__ = ("children", "column", "file", "keys", "line", "size", "style", "value", "written")

    def __init__(self, value: Any, file: str, line: int, column: int) -> None:
        self.value = value
        self.file = file
        self.line = line
        self.column = column
        self.children: dict[str, Node] | list[Node] | None = None
        self.keys: dict[str, tuple[str, int, int]] = {}
        self.size = 1
        self.style = ""
        self.written = ""

    @property
    def place(self) -> Location:
        return Location(self.file, self.line, self.column)

    def plain(self) -> Any:
        """The value without places, as JSON would have it."""
        if isinstance(self.children, dict):
            return {key: child.plain() for key, child in self.children.items()}
        if isinstance(self.children, list):
            return [child.plain() for child in self.children]
        return self.value

    def child(self, key: str | int) -> Node | None:
        if isinstance(self.children, dict) and isinstance(key, str):
            return self.children.get(key)
        if isinstance(self.children, list) and isinstance(key, int) and 0 <= key < len(self.children):
            return self.children[key]
        return None


def merge(base: Node, over: Node) -> Node:
    """`over` on top of `base`: mappings are merged deeply, everything else is replaced. Places stay where each value
    was written.

    Associative as long as a field is a mapping wherever it is written, or nowhere.
    """
    if not isinstance(base.children, dict) or not isinstance(over.children, dict):
        return over
    merged = Node(None, over.file, over.line, over.column)
    children = dict(base.children)
    for key, child in over.children.items():
        children[key] = merge(children[key], child) if key in children else child
    merged.children = children
    merged.keys = base.keys | over.keys
    merged.size = 1 + sum(child.size + 1 for child in children.values())
    return merged


class Lazy:
    """A document that was read without places: `at` and `at_key` read the file once more when somebody asks."""

    def __init__(self, start: Location, again: Callable[[], Document]) -> None:
        self._start = start
        self._again = again

    def at(self, *path: str | int) -> Location:
        """See `model.documents.Positions`."""
        return self._again().at(*path) if path else self._start

    def at_key(self, *path: str | int) -> Location:
        """See `model.documents.Positions`."""
        return self._again().at_key(*path)

    def within(self, line: int, column: int, *path: str | int) -> Location:
        """See `model.documents.Positions`."""
        return self._again().within(line, column, *path)


class Document:
    """One document of a file. `at` gives the place of a value, `at_key` that of a field's name. `lines` are those of
    the whole file."""

    def __init__(self, file: str, root: Node, lines: list[str]) -> None:
        self.file = file
        self.root = root
        self.lines = lines

    def at(self, *path: str | int) -> Location:
        """See `model.documents.Positions`."""
        return self.node(*path).place

    def node(self, *path: str | int) -> Node:
        """The value at `path`, or its nearest ancestor that is written."""
        node = self.root
        for step in path:
            child = node.child(step)
            if child is None:
                break
            node = child
        return node

    def within(self, line: int, column: int, *path: str | int) -> Location:
        """See `model.documents.Positions`."""
        node = self.node(*path)
        text = node.value.split("\n") if isinstance(node.value, str) else []
        row = node.line + (line if node.style == "|" else 0)
        if node.file != self.file or not 0 < line <= len(text) or row > len(self.lines):
            return node.place
        seen, meant = self.lines[row - 1].removesuffix("\r"), text[line - 1]
        if node.style == "|":
            before = len(seen) - len(meant)
            return Location(self.file, row, before + column) if seen.endswith(meant) else node.place
        before = node.column - 1 + len(node.style)
        fits = node.style != ">" and len(text) == 1 and seen.startswith(meant, before)
        return Location(self.file, row, before + column) if fits else node.place

    def at_key(self, *path: str | int) -> Location:
        """See `model.documents.Positions`."""
        node = self.root
        for step in path[:-1]:
            child = node.child(step)
            if child is None:
                return node.place
            node = child
        last = path[-1] if path else ""
        if isinstance(last, str) and last in node.keys:
            return Location(*node.keys[last])
        return self.at(*path)
