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
from reconciler.parse.text import LARGEST_FILE, plain_text, readable
from reconciler.parse.yaml_errors import said_of

__all__ = [
    "DEEPEST",
    "LARGEST_FILE",
    "LARGEST_SCALAR",
    "MOST_DOCUMENTS",
    "MOST_MISTAKES",
    "MOST_NODES",
    "load",
    "quick",
]

LARGEST_SCALAR = 64 * 1024
MOST_NODES = 100_000
DEEPEST = 64
MOST_DOCUMENTS = 10_000
#: Whoever has more sees to these first; the time to tell them stays bounded.
MOST_MISTAKES = 1_000

#: Read for its events alone; the C parser where PyYAML has it, which is ten times as fast.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"Y", "N", "YES", "NO", "ON", "OFF"}
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]{1,20}(:[0-5]?[0-9]){1,20}(\.[0-9]*)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]{1,20}")
#: What stands between documents; YAML allows it nowhere else at the beginning of a line.
_BETWEEN = re.compile(r"---(\s|$)")


class _Wrong(Exception):
    """The file cannot be read further."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


def load(file: str, data: bytes) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """The documents of a file's bytes; `file` is its name in diagnostics. Never raises for any content.

    Where a document is broken, reading goes on with the next one, so that its mistakes are told as well.
    """
    text, found = readable(file, data)
    lines = text.split("\n")
    documents: list[Document] = []
    first = 0
    while first < len(lines):
        loader = _Loader(file, lines, first, found)
        try:
            loader.documents(documents)
            break
        except _Wrong as error:
            found.append(error.diagnostic)
        except yaml.YAMLError as error:
            found.append(said_of(file, lines, first, error))
        if len(documents) > MOST_DOCUMENTS or len(found) > MOST_MISTAKES:
            break
        first = next((at for at in range(loader.began + 1, len(lines)) if _BETWEEN.match(lines[at])), len(lines))
    return tuple(documents), tuple(found)


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
    if text[:1] in "0123456789+-." and text[:1]:
        return _number(text)
    return text, ""


def _number(text: str) -> tuple[Any, str]:
    """A whole number or a fraction, or what only some readers take for one."""
    if len(text) <= 18 and _INT.fullmatch(text):
        return int(text), ""
    if len(text) <= 40 and _FLOAT.fullmatch(text):
        return float(text), ""
    return text, next((trap for trap, pattern in _NUMBERS if pattern.fullmatch(text)), "")


_NUMBERS = (
    ("number", re.compile(r"[-+]?0[xX][0-9a-fA-F_]{1,32}|[-+]?0[oO][0-7_]{1,32}|[-+]?0[bB][01_]{1,64}")),
    ("number", re.compile(r"[-+]?[0-9][0-9_]{0,64}(\.[0-9_]{0,64})?([eE][-+]?[0-9]{1,9})?")),
    ("number", re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")),
    ("date", re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].{0,40})?")),
)

#: Fields that hold dates, or lists of them: there a date without quotes is what everybody takes it for.
_DATES = ("until", "dates")

_TRAPS = {
    "sexagesimal": ("{} without quotes is a number to base 60 for some YAML readers", 'Quote it: "{}".'),
    "word": (
        "{} without quotes is true or false for some YAML readers",
        'Write true or false, or quote it: "{}".',
    ),
    "octal": (
        "{} with a leading zero is octal for some YAML readers",
        'Remove the zero, or quote it: "{}".',
    ),
    "number": (
        "{} without quotes is a number for some YAML readers and a text for others",
        'Write the number plainly, or quote it: "{}".',
    ),
    "date": ("{} without quotes is a date for some YAML readers and a text for others", 'Quote it: "{}".'),
}


# --- Without places --------------------------------------------------------------------------------------------


class _Unsure(Exception):
    """Something that only the careful look can tell."""


def quick(data: bytes) -> list[tuple[Any, int, int]] | None:
    """The documents of a file as plain values, each with the line and column where it begins; None where `load` has
    to look, since something is wrong, or an anchor, a tag or an empty value is there. Several times as fast."""
    text = plain_text(data)
    if text is None:
        return None
    try:
        return _Quick(_Parser(text).get_event).documents()
    except (yaml.YAMLError, _Unsure):
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
                found.append((self._value(event, 0, ""), mark.line + 1, mark.column + 1))
                if len(found) > MOST_DOCUMENTS:
                    raise _Unsure

    def _value(self, event: Any, depth: int, field: str) -> Any:
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
            if value is None or len(text) > LARGEST_SCALAR or (trap and (trap != "date" or field not in _DATES)):
                raise _Unsure
            return value
        if type(event) is yaml.SequenceStartEvent:
            items = []
            while type(event := following()) is not yaml.SequenceEndEvent:
                items.append(self._value(event, depth + 1, field))
            return items
        fields: dict[str, Any] = {}
        while type(event := following()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent or event.anchor is not None:
                raise _Unsure
            key = event.value
            if key in fields or (event.tag is not None and event.tag != "!") or (key == "<<" and not event.style):
                raise _Unsure
            fields[key] = self._value(following(), depth + 1, key)
        return fields


# --- With places -----------------------------------------------------------------------------------------------


class _Loader:
    """Reads from one line of a file on. `began` is the line where the document begins that is being read."""

    def __init__(self, file: str, lines: list[str], first: int, diagnostics: list[Diagnostic]) -> None:
        self.file = file
        self.lines = lines
        self.first = first
        self.began = first
        self.parser = _Parser("\n".join(lines[first:]) if first else "\n".join(lines))
        self.anchors: dict[str, Node] = {}
        self.diagnostics = diagnostics

    def documents(self, found: list[Document]) -> None:
        """Adds the documents, as far as they can be read. Raises `_Wrong` or `YAMLError` where one cannot."""
        begun = len(found)
        while True:
            event = self.parser.get_event()
            if isinstance(event, yaml.StreamEndEvent):
                return
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            self.began = self._at(event)[0] - 1
            begun += 1
            if begun > MOST_DOCUMENTS:
                self._say("RCL1013", f"more than {MOST_DOCUMENTS:,} documents in one file", "Divide them.", event)
                return
            self.anchors = {}
            root = self._node(self.parser.get_event(), 0)
            if root.children is None and root.value is None:
                continue
            found.append(Document(self.file, root, self.lines))

    def _node(self, event: Any, depth: int, field: str = "") -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > DEEPEST:
            raise self._wrong("RCL1013", f"nested deeper than {DEEPEST} levels", "Policies are flat.", event)
        if event.tag is not None and not self._is_plain_tag(event):
            remedy = f'A value that begins with ! is quoted: "{event.tag}". Otherwise remove the tag.'
            self._say("RCL1011", f"the tag {event.tag} is not allowed", remedy, event)
        node = Node(None, self.file, *self._at(event))
        if isinstance(event, yaml.ScalarEvent):
            node.value, node.style = self._scalar(event, field), event.style or ""
            node.written = event.value if node.value.__class__ is not str else ""
        elif isinstance(event, yaml.SequenceStartEvent):
            self._sequence(node, depth, field)
        elif self.lines[node.line - 1].startswith("{{", node.column - 1):
            self._template(node, event)
        else:
            self._mapping(node, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _template(self, node: Node, event: Any) -> None:
        """``{{ name }}`` is a mapping in a mapping to YAML, and never what somebody wrote policies for."""
        self._say("RCL1012", "this looks like a template that was not rendered", "Render the template first.", event)
        inside = 1
        while inside:
            event = self.parser.get_event()
            inside += isinstance(event, yaml.MappingStartEvent) - isinstance(event, yaml.MappingEndEvent)
        node.value = "{{"

    def _is_plain_tag(self, event: Any) -> bool:
        """``!`` alone is what the parser gives a quoted text."""
        return bool(event.tag == "!")

    def _alias(self, event: Any) -> Node:
        found = self.anchors.get(event.anchor)
        if found is None:
            what = f"*{event.anchor} without quotes is an alias, and refers to nothing before it"
            self._say("RCL1010", what, f'A pattern that begins with * is quoted: "*{event.anchor}".', event)
            return Node(f"*{event.anchor}", self.file, *self._at(event))
        return found

    def _sequence(self, node: Node, depth: int, field: str) -> None:
        children: list[Node] = []
        node.children = children
        while not isinstance(event := self.parser.get_event(), yaml.SequenceEndEvent):
            child = self._node(event, depth + 1, field)
            self._grow(node, child.size, event)
            children.append(child)

    def _mapping(self, node: Node, depth: int) -> None:
        children: dict[str, Node] = {}
        node.children = children
        while not isinstance(event := self.parser.get_event(), yaml.MappingEndEvent):
            key = self._key(event, depth)
            child = self._node(self.parser.get_event(), depth + 1, key or "")
            self._grow(node, child.size + 1, event)
            if key is None:
                continue
            if key in children:
                what = f"the key {_shown(key)} stands twice, first in line {node.keys[key][1]}"
                self._say("RCL1007", what, "Keep one of them.", event)
                continue
            children[key] = child
            node.keys[key] = (self.file, *self._at(event))

    def _grow(self, node: Node, size: int, event: Any) -> None:
        node.size += size
        if node.size > MOST_NODES:
            what = f"more than {MOST_NODES:,} values in one document, those behind aliases counted each time"
            raise self._wrong("RCL1010", what, "Write the values out, use a preset, or divide it.", event)

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

    def _scalar(self, event: Any, field: str) -> Any:
        text: str = event.value
        if len(text) > LARGEST_SCALAR:
            what = f"a text of {len(text)} characters"
            raise self._wrong("RCL1013", what, f"No field takes more than {LARGEST_SCALAR}.", event)
        if event.style:
            return text
        value, trap = _plain_scalar(text)
        if trap and (trap != "date" or field not in _DATES):
            what, remedy = _TRAPS[trap]
            self._say("RCL1008", what.format(text), remedy.format(text), event)
        return value

    def _say(self, code: str, what: str, remedy: str, event: Any) -> None:
        self.diagnostics.append(_error(code, what, remedy, self._place(event)))

    def _wrong(self, code: str, what: str, remedy: str, event: Any) -> _Wrong:
        return _Wrong(_error(code, what, remedy, self._place(event)))

    def _place(self, event: Any) -> Location:
        return Location(self.file, *self._at(event))

    def _at(self, event: Any) -> tuple[int, int]:
        return self.first + event.start_mark.line + 1, event.start_mark.column + 1


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _error(code: str, what: str, remedy: str, where: Location) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, what, remedy, where)
