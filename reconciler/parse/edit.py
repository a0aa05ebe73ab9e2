"""Editing: a policy file's text, one field or document of it -> the text with that changed and every other byte kept.

ruamel.yaml says where each node begins and ends; the text is cut there, and is not written anew: whoever reviews the
change sees the lines that changed, and no comment, quote or blank of another line. Who edits holds the result against
what was meant, by the loader that counts; a place that means more than itself (an alias) is refused here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from reconciler.parse.write import yaml_text

_ALIAS = re.compile(r"\s*:\s*\*[^\s,\]}]+")
_BETWEEN = re.compile(r"---(\s|$)")
_DIRECTIVE = re.compile(r"%|\.\.\.(\s|$)")
_ONE_LINE = 100_000
_FOR_EDITORS = "# yaml-language-server:"


class CannotEdit(Exception):
    """The text cannot be cut there without a change of something else; the message is a clause that says why."""


def with_value(text: str, line: int, path: tuple[str, ...], value: Any) -> str:
    """The text with the value at `path` of the document whose first field stands in `line` (from 1). Of a mapping the
    fields that are given are written, those that are there besides stay."""
    root = _document(text, line)
    parent = _mapping_at(root, path[:-1])
    found = _pair(parent, path[-1])
    if found is None:
        return _inserted(text, parent, path[-1], value)
    key, old = found
    _check_alone(root, key, old)
    if isinstance(value, Mapping) and isinstance(old, MappingNode):
        for name, below in value.items():
            text = with_value(text, line, (*path, name), below)
        return text
    if isinstance(value, Mapping) or not isinstance(old, ScalarNode):
        raise CannotEdit(f"{'.'.join(path)} is written as something else")
    if str(old.value) == str(value):
        return text
    start, end = old.start_mark.index, old.end_mark.index
    block = old.style in ("|", ">")
    return text[:start] + _scalar(value) + (_newline(text) if block else "") + text[end:]


def without_value(text: str, line: int, path: tuple[str, ...]) -> str:
    """The text without the field at `path`. A comment in its lines goes with it, one above it stays."""
    root = _document(text, line)
    parent = _mapping_at(root, path[:-1])
    found = _pair(parent, path[-1])
    if found is None or len(parent.value) == 1:
        raise CannotEdit(f"{'.'.join(path)} is not written there, or nothing else is")
    key, old = found
    start, end = key.start_mark.index, _end(text, key, old)
    if parent.flow_style:
        after = re.compile(r"\s*,[ \t]*").match(text, end)
        if after is not None:
            return text[:start] + text[after.end() :]
        before = text[:start].rstrip()
        return before.removesuffix(",") + text[end:]
    begin = text.rfind("\n", 0, start) + 1
    if text[begin:start].strip():
        raise CannotEdit(f"{'.'.join(path)} begins in a line with something else")
    return text[:begin] + text[_line_end(text, end) :]


def without_document(text: str, line: int) -> str:
    """The text without the document whose first field stands in `line`, and the comments above that within it; "" where
    no other document is left. What is said to editors in the first line stays."""
    root = _document(text, line)
    lines = text.splitlines(keepends=True)
    if any(_DIRECTIVE.match(each) for each in lines):
        raise CannotEdit("the file has directives, or ends of documents")
    if sum(1 for _ in _documents(text)) == 1:
        return ""
    borders = [at for at, each in enumerate(lines) if _BETWEEN.match(each)]
    begin = max((at for at in borders if at < line), default=0)
    last = _line_of(text, _last(text, root))
    end = next((at for at in borders if at > last), len(lines))
    kept = [each for each in lines[begin : last + 1] if each.startswith(_FOR_EDITORS)]
    rest = lines[last + 1 : end]
    tail = rest if any(each.strip() for each in rest) else []
    result = lines[:begin] + kept + tail + lines[end:]
    if begin == 0 and not kept and not tail and result and _BETWEEN.fullmatch(result[0].rstrip("\r\n")):
        del result[0]
    return "".join(result)


# --- Nodes -----------------------------------------------------------------------------------------------------------


def _documents(text: str) -> Iterator[Node]:
    try:
        for root in YAML(typ="safe", pure=True).compose_all(text):
            if root is not None and not (isinstance(root, ScalarNode) and not root.value):
                yield root
    except (YAMLError, ValueError, NotImplementedError):
        raise CannotEdit("ruamel.yaml cannot read the file") from None


def _document(text: str, line: int) -> MappingNode:
    for root in _documents(text):
        if isinstance(root, MappingNode) and root.start_mark.line + 1 == line:
            return root
    raise CannotEdit("the document was not found again")


def _mapping_at(root: MappingNode, path: tuple[str, ...]) -> MappingNode:
    node = root
    for name in path:
        found = _pair(node, name)
        if found is None or not isinstance(found[1], MappingNode):
            raise CannotEdit(f"{name} is not written as a mapping of its own")
        _check_alone(root, *found)
        node = found[1]
    return node


def _pair(node: MappingNode, name: str) -> tuple[Node, Node] | None:
    return next(((key, value) for key, value in node.value if key.value == name), None)


def _check_alone(root: MappingNode, key: Node, node: Node) -> None:
    """Raises where the node is written elsewhere, or stands for several places: to change one would change all."""
    if node.start_mark.index < key.end_mark.index or _visits(root)[id(node)] > 1:
        raise CannotEdit(f"{key.value} is an alias, or others are one of it")


def _visits(root: Node) -> Counter[int]:
    seen: Counter[int] = Counter()

    def visit(node: Node) -> None:
        seen[id(node)] += 1
        if seen[id(node)] > 1 or not isinstance(node, CollectionNode):
            return
        for item in node.value:
            for each in item if isinstance(item, tuple) else (item,):
                visit(each)

    visit(root)
    return seen


# --- Places ----------------------------------------------------------------------------------------------------------


def _end(text: str, key: Node, value: Node) -> int:
    """Where the value of a key ends in the text, without what follows it on its last line."""
    if value.start_mark.index < key.end_mark.index:  # an alias: the node stands elsewhere
        found = _ALIAS.match(text, key.end_mark.index)
        if found is None:
            raise CannotEdit(f"the end of {key.value} was not found")
        return found.end()
    return max(_last(text, value), text.find(":", key.end_mark.index) + 1)


def _last(text: str, node: Node) -> int:
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        if isinstance(node, MappingNode):
            return _end(text, *node.value[-1])
        assert isinstance(node, SequenceNode)
        return _last(text, node.value[-1])
    end: int = node.end_mark.index
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return len(text[:end].rstrip())
    return end


def _line_of(text: str, index: int) -> int:
    return text.count("\n", 0, index)


def _line_end(text: str, index: int) -> int:
    """The beginning of the next line."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


# --- Writing ---------------------------------------------------------------------------------------------------------


def _inserted(text: str, parent: MappingNode, key: str, value: Any) -> str:
    below = yaml_text(dict(value), _ONE_LINE).rstrip("\n") if isinstance(value, Mapping) else _scalar(value)
    written = f"{key}: {below}"
    if parent.flow_style:
        at = parent.end_mark.index - 1
        before = text[:at].rstrip()
        comma = "" if before.endswith((",", "{")) else ","
        blank = "" if before.endswith("{") else " "
        return f"{before}{comma}{blank}{written}{text[len(before) : at]}{text[at:]}"
    if not parent.value:
        raise CannotEdit("nothing is written there")
    indent = " " * parent.value[0][0].start_mark.column
    at = _line_end(text, _end(text, *parent.value[-1]))
    newline = _newline(text)
    before = text[:at] if text[:at].endswith("\n") else text[:at] + newline
    return f"{before}{indent}{written}{newline}{text[at:]}"


def _scalar(value: Any) -> str:
    return yaml_text({"x": value}, _ONE_LINE).rstrip("\n").removeprefix("{x: ").removesuffix("}")
