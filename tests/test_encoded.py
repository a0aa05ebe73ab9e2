"""JSON that somebody else wrote: how deep and how large it may be, and that one door reads it."""

from __future__ import annotations

import ast
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import encoded
from reconciler.control.state.backup_file import Manifest
from reconciler.engines.embedded import copies, intent, packs, records
from reconciler.inventory.layout import MachineJson
from reconciler.model import Record, SavedPlan

PACKAGE = Path(encoded.__file__).parent
KINDS = (Manifest, MachineJson, Record, SavedPlan, records.PointRecord, records.Assignment, packs.PackHead)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(each) for each in value.values()), default=0)
    return 1 + max((_depth(each) for each in value), default=0) if isinstance(value, list) else 0


def _within(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = {"{[": value} if level % 2 else [value, "]"]
    return value


TEXT = st.text('[]{}"\\/:,a\u2028\n', max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(VALUES, st.integers(0, 140), st.lists(TEXT, max_size=80))
def test_a_text_is_read_exactly_up_to_64_deep(value: Any, levels: int, rest: list[str]) -> None:
    whole = [_within(value, levels), [[each] for each in rest]]
    text = json.dumps(whole, ensure_ascii=False).encode()
    if _depth(whole) > encoded.DEEPEST:
        with pytest.raises(encoded.Wrong, match="nested more than 64 deep"):
            encoded.read(text, list[Any])
    else:
        assert encoded.read(text, list[Any]) == whole
        assert encoded.read(text.decode(), list[Any]) == whole


@given(st.text('[]{}"\\,:1 ', max_size=300).map(lambda text: text * 3))
def test_what_is_no_json_ends_in_one_error(text: str) -> None:
    with suppress(encoded.Wrong):
        encoded.read(text, list[Any])


DEEP = {
    "lists": b"[" * 20_000,
    "closed lists": b"[" * 20_000 + b"]" * 20_000,
    "objects": b'{"a":' * 20_000,
    "behind a string of brackets": b'["' + b"]" * 20_000 + b'",' + b"[" * 20_000,
    "between strings": b'["]",' * 10_000,
    "behind a quote in a string": b'["\\"",' * 10_000 + b"]" * 10_000,
    "in a string that does not end": b"[" * 100 + b'"' + b"]" * 20_000,
    "after what is wrong": b"[}" * 10 + b"[" * 20_000,
}


@pytest.mark.parametrize("way", DEEP)
def test_a_deep_text_is_no_recursion_error(way: str) -> None:
    for text in (DEEP[way], b'{"unknown":' + DEEP[way]):
        with pytest.raises(encoded.Wrong) as told:
            encoded.read(text, dict[str, Any])
        assert told.value.diagnostic.code == "RCL0024"
        for kind in KINDS:
            with pytest.raises(encoded.Wrong):
                encoded.read(text, kind)
            with pytest.raises(encoded.Wrong):
                encoded.Reader(kind).decode_lines(text)


def test_nor_is_a_deep_answer_or_copy() -> None:
    for text in (b"\x91" * 20_000, b"\x81\xa7unknown" + b"\x91" * 20_000):
        with pytest.raises(encoded.Wrong):
            encoded.PackedReader(copies.Copy).decode(text)


def test_a_large_text_is_refused_before_it_is_read() -> None:
    for reader in (encoded.Reader(list, 10), encoded.PackedReader(list, 10)):
        with pytest.raises(encoded.Wrong, match="larger than 10 bytes"):
            reader.decode(b"[1,2,3,4,5,6]")


@pytest.mark.parametrize("data", [b"\xff", b'"\xff"', b"", b"nul", "\ud800", None])
def test_bytes_that_are_no_text_are_refused(data: Any) -> None:
    with pytest.raises(encoded.Wrong):
        encoded.Reader(dict[str, str]).decode(data)
    with pytest.raises(encoded.Wrong):
        encoded.read(data, intent.Intent)


DECODES = {f"msgspec.{form}.{name}" for form in ("json", "msgpack") for name in ("decode", "Decoder")}
DECODES |= {"json.load", "json.loads", "json.JSONDecoder", "marshal.load", "marshal.loads"}


def test_nothing_else_decodes() -> None:
    """A second door would have no limits. `encode` is nobody's concern, `convert` takes what was read."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "encoded.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("json", "marshal", "msgspec.json", "msgspec.msgpack"), path
                assert node.module != "msgspec" or not {each.name for each in node.names} & {"json", "msgpack"}, path
            elif isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in DECODES, (path, node.lineno)


def test_a_plain_value_is_what_json_has() -> None:
    class Small(msgspec.Struct):
        name: str
        parts: tuple[int, ...] = ()

    assert encoded.plain(Small("a", (1, 2))) == {"name": "a", "parts": [1, 2]}
