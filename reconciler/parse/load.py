"""Loading: one policy file -> its documents with the place of every node, or what is wrong with it.

Values are read by YAML's core schema, from the parser's events; what YAML 1.1 would silently read as something
else (22:00 as 1320, no as false) is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import yaml

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model.names import fold
from reconciler.parse.nodes import Document, Node

LARGEST_FILE = 4 * 1024 * 1024
LARGEST_SCALAR = 64 * 1024
MOST_NODES = 200_000
DEEPEST = 64

#: Read for its events alone; the C parser where PyYAML has it, which is ten times as fast.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"Y", "N", "YES", "NO", "ON", "OFF"}
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]{1,20}(:[0-5]?[0-9]){1,20}(\.[0-9]*)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_OCTAL = re.compile(r"[-+]?0[0-9_]{1,20}")


class _Wrong(Exception):
    """The file cannot be read further."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


def load(file: str, data: bytes) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """The documents of a file's bytes; `file` is its name in diagnostics. Never raises for any content."""
    text, wrong = _text(file, data)
    if wrong is not None:
        return (), (wrong,)
    diagnostics: list[Diagnostic] = []
    try:
        documents = _Loader(file, text, diagnostics).documents()
    except _Wrong as error:
        return (), (*diagnostics, error.diagnostic)
    except yaml.YAMLError as error:
        return (), (*diagnostics, _syntax(file, text, error))
    return tuple(documents), tuple(diagnostics)


def _text(file: str, data: bytes) -> tuple[str, Diagnostic | None]:
    where = Location(file)
    if len(data) > LARGEST_FILE:
        what = f"the file is larger than {LARGEST_FILE // 1024**2} MiB"
        return "", _error("RCL1004", what, "Cut it into several files; policies are small.", where)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        remedy = "Save it as UTF-8 text."
        return "", _error("RCL1004", "the file is not UTF-8 text", remedy, Location(file, line))
    control = _CONTROL.search(text)
    if control is not None:
        bad = control.start()
        line, column = text.count("\n", 0, bad) + 1, bad - text.rfind("\n", 0, bad)
        what = f"the file holds a control character, U+{ord(text[bad]):04X}"
        return "", _error("RCL1004", what, "Remove it; a policy file is plain text.", Location(file, line, column))
    return text, None


@lru_cache(maxsize=65_536)
def _plain_scalar(text: str) -> tuple[Any, str]:
    """What a text without quotes is by YAML's core schema; and which trap it is, if it is one."""
    if text in _NULL:
        return None, ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE, ""
    if _SEXAGESIMAL.fullmatch(text):
        return text, "sexagesimal"
    if fold(text) in _WORDS:
        return text, "word"
    if _OCTAL.fullmatch(text):
        return text, "octal"
    if len(text) <= 18 and _INT.fullmatch(text):
        return int(text), ""
    return (float(text) if len(text) <= 40 and _FLOAT.fullmatch(text) else text), ""


_TRAPS = {
    "sexagesimal": ("{} without quotes is a number to base 60 for some YAML readers", 'Quote it: "{}".'),
    "word": (
        "{} without quotes is true or false for some YAML readers",
        'Write true or false, or quote it: "{}".',
    ),
    "octal": (
        "{} with a leading zero is octal for some YAML readers",
        'Leave the zero out, or quote it: "{}".',
    ),
}


# --- Without places --------------------------------------------------------------------------------------------


class _Unsure(Exception):
    """Something that only the careful look can tell."""


def quick(data: bytes) -> list[tuple[Any, int, int]] | None:
    """The documents of a file as plain values, each with the line and column where it begins; None where `load` has
    to look, since something is wrong, or an anchor, a tag or an empty value is there. Several times as fast."""
    if len(data) > LARGEST_FILE:
        return None
    try:
        text = data.decode("utf-8-sig")
        if _CONTROL.search(text) is not None:
            return None
        return _Quick(_Parser(text).get_event).documents()
    except (UnicodeDecodeError, yaml.YAMLError, _Unsure):
        return None


class _Quick:
    def __init__(self, following: Callable[[], Any]) -> None:
        self._next = following

    def documents(self) -> list[tuple[Any, int, int]]:
        found: list[tuple[Any, int, int]] = []
        following = self._next
        while True:
            event = following()
            if type(event) is yaml.StreamEndEvent:
                return found
            if type(event) is yaml.DocumentStartEvent:
                event = following()
                mark = event.start_mark
                found.append((self._value(event, 0), mark.line + 1, mark.column + 1))

    def _value(self, event: Any, depth: int) -> Any:
        if type(event) is yaml.AliasEvent or event.anchor is not None or depth > DEEPEST:
            raise _Unsure
        if event.tag is not None and event.tag != "!":
            raise _Unsure
        following = self._next
        if type(event) is yaml.ScalarEvent:
            text = event.value
            if event.style:
                if len(text) > LARGEST_SCALAR:
                    raise _Unsure
                return text
            value, trap = _plain_scalar(text)
            if trap or value is None or len(text) > LARGEST_SCALAR:
                raise _Unsure
            return value
        if type(event) is yaml.SequenceStartEvent:
            items = []
            while type(event := following()) is not yaml.SequenceEndEvent:
                items.append(self._value(event, depth + 1))
            return items
        fields: dict[str, Any] = {}
        while type(event := following()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent or event.anchor is not None:
                raise _Unsure
            key = event.value
            if key in fields or (event.tag is not None and event.tag != "!") or (key == "<<" and not event.style):
                raise _Unsure
            fields[key] = self._value(following(), depth + 1)
        return fields


# --- With places -----------------------------------------------------------------------------------------------


class _Loader:
    def __init__(self, file: str, text: str, diagnostics: list[Diagnostic]) -> None:
        self.file = file
        self.parser = _Parser(text)
        self.anchors: dict[str, Node] = {}
        self.diagnostics = diagnostics

    def documents(self) -> list[Document]:
        found: list[Document] = []
        while True:
            event = self.parser.get_event()
            if isinstance(event, yaml.StreamEndEvent):
                return found
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            self.anchors = {}
            root = self._node(self.parser.get_event(), 0)
            if root.children is None and root.value is None:
                continue
            found.append(Document(self.file, root))

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > DEEPEST:
            raise self._wrong("RCL1013", f"nested deeper than {DEEPEST} levels", "Policies are flat.", event)
        if event.tag is not None and not self._is_plain_tag(event):
            remedy = "Remove it: values are read as they are written."
            self._say("RCL1011", f"the tag {event.tag} is not allowed", remedy, event)
        mark = event.start_mark
        node = Node(None, self.file, mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._sequence(node, depth)
        else:
            self._mapping(node, depth)
        if node.size > MOST_NODES:
            raise self._wrong("RCL1010", "aliases make it too large", "Write the values out, or use a preset.", event)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _is_plain_tag(self, event: Any) -> bool:
        """``!`` alone is what the parser gives a quoted text."""
        return bool(event.tag == "!")

    def _alias(self, event: Any) -> Node:
        found = self.anchors.get(event.anchor)
        if found is None:
            what = f"*{event.anchor} refers to nothing before it, or to itself"
            raise self._wrong("RCL1010", what, "Define the anchor first.", event)
        return found

    def _sequence(self, node: Node, depth: int) -> None:
        children: list[Node] = []
        node.children = children
        while not isinstance(event := self.parser.get_event(), yaml.SequenceEndEvent):
            child = self._node(event, depth + 1)
            node.size += child.size
            children.append(child)

    def _mapping(self, node: Node, depth: int) -> None:
        children: dict[str, Node] = {}
        node.children = children
        while not isinstance(event := self.parser.get_event(), yaml.MappingEndEvent):
            key = self._key(event, depth)
            child = self._node(self.parser.get_event(), depth + 1)
            node.size += child.size + 1
            if key is None:
                continue
            if key in children:
                what = f"the key {_shown(key)} stands twice, first in line {node.keys[key][1]}"
                self._say("RCL1007", what, "Keep one of them.", event)
                continue
            children[key] = child
            node.keys[key] = (self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _key(self, event: Any, depth: int) -> str | None:
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, depth + 1)
            self._say("RCL1012", "a key that is not a text", "Keys are names of fields, or labels.", event)
            return None
        if event.value == "<<" and not event.style:
            self._say(
                "RCL1009", "merge keys are not allowed", "Write the fields out, or use a preset with `extends`.", event
            )
            return None
        return str(event.value)

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if len(text) > LARGEST_SCALAR:
            what = f"a text of {len(text)} characters"
            raise self._wrong("RCL1013", what, f"No field takes more than {LARGEST_SCALAR}.", event)
        if event.style:
            return text
        value, trap = _plain_scalar(text)
        if trap:
            what, remedy = _TRAPS[trap]
            self._say("RCL1008", what.format(text), remedy.format(text), event)
        return value

    def _say(self, code: str, what: str, remedy: str, event: Any) -> None:
        self.diagnostics.append(_error(code, what, remedy, self._place(event)))

    def _wrong(self, code: str, what: str, remedy: str, event: Any) -> _Wrong:
        return _Wrong(_error(code, what, remedy, self._place(event)))

    def _place(self, event: Any) -> Location:
        return Location(self.file, event.start_mark.line + 1, event.start_mark.column + 1)


def _syntax(file: str, text: str, error: yaml.YAMLError) -> Diagnostic:
    mark = getattr(error, "problem_mark", None)
    where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
    lines = text.split("\n")
    line = lines[where.line - 1] if where.line <= len(lines) else ""
    if "\t" in line[: where.column]:
        tab = Location(file, where.line, line.index("\t") + 1)
        return _error("RCL1006", "a tab; YAML is indented with blanks", "Replace it by blanks.", tab)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
    context = getattr(error, "context", None)
    what = f"not YAML: {context + ', ' if context else ''}{problem}"
    return _error("RCL1005", what, "Look at this line and the one before: indentation, quotes, colons.", where)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _error(code: str, what: str, remedy: str, where: Location) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, what, remedy, where)
