"""Reading: a policy folder -> its policy set, with everything that is wrong or worth a warning."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from reconciler import encoded
from reconciler.errors import Diagnostic, Location, PolicyError, Severity, sort_key
from reconciler.model.documents import Placed, PolicySet
from reconciler.parse.decode import decode
from reconciler.parse.folder_tree import FolderTree
from reconciler.parse.load import LARGEST_FILE, MOST_MISTAKES, load, quick
from reconciler.parse.nodes import Document, Lazy, Node, merge
from reconciler.parse.policy_files import PolicyFile, find_policy_files, read_policy_files
from reconciler.parse.schema import KINDS
from reconciler.parse.validate import kind_of, typed, validate
from reconciler.protocols import Tree


class Reading(msgspec.Struct, frozen=True):
    """What a folder says. `policies` is None when anything is wrong; `sources` are its files with the links that lead
    to them; `texts` is what was read of each, by its name from the root."""

    policies: PolicySet | None
    diagnostics: tuple[Diagnostic, ...]
    sources: tuple[PolicyFile, ...]
    texts: Mapping[str, bytes]

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, from the root."""
        return tuple(source.name for source in self.sources)


def read_policies(root: Path, folder: str = "policies") -> Reading:
    """Reads every policy file below the folder, in any order with the same result.

    Raises `PolicyError` for a folder that is missing, unreadable or without documents: it never means that
    nothing is desired.
    """
    return read_tree(FolderTree(root), folder)


#: What files say that were read before, by name and content; None where only the careful way will do.
Before = dict[tuple[str, bytes], list[Placed[Any]] | None]


def read_tree(tree: Tree, folder: str, called: str = "", before: Before | None = None) -> Reading:
    """The same of any tree, that of a commit too. `called` is what it is called where it holds nothing; `before` is
    added to: who reads many trees that are much alike reads each file once."""
    found = find_policy_files(tree, folder)
    texts, unreadable = read_policy_files(tree, found, LARGEST_FILE + 1)
    return _reading(texts, found.files, [*found.diagnostics, *unreadable], called or folder, before)


def read_texts(texts: Mapping[str, bytes], called: str) -> Reading:
    """The same of texts that are in hand, by name, whatever their names are."""
    wanted = {name: texts[name] for name in sorted(texts)}
    return _reading(wanted, tuple(map(PolicyFile, wanted)), [], called)


def _reading(
    texts: Mapping[str, bytes],
    sources: tuple[PolicyFile, ...],
    found: list[Diagnostic],
    called: str,
    before: Before | None = None,
) -> Reading:
    placed: list[Placed[Any]] = []
    careful: list[tuple[str, Document]] = []
    sound, empty = True, True
    known = before if before is not None else {}
    fresh = {name: data for name, data in texts.items() if (name, data) not in known}
    known |= {(name, data): _all_typed(name, data, plains) for name, (data, plains) in _read_quickly(fresh).items()}
    for name, data in texts.items():
        quickly = known[name, data]
        if quickly is not None:
            placed += quickly
            empty = empty and not quickly
            continue
        loaded, wrong = load(name, data)
        found += wrong
        for document in loaded:
            empty = False
            kind, mistakes = kind_of(document)
            found += mistakes
            sound = sound and bool(kind)
            careful += [(kind, document)] if kind else []
    if empty and not any(each.severity is Severity.ERROR for each in found):
        remedy = "Write a policy document, or name the root with -C."
        what = f"{called!r} holds no policy document"
        raise PolicyError([Diagnostic("RCL1003", Severity.ERROR, what, remedy, subject=called), *found])
    traps = {each.location for each in found if each.severity is Severity.ERROR}
    for at, (kind, document) in enumerate(_merged(careful, found)):
        if len(found) > MOST_MISTAKES:
            found.append(_too_many(len(careful) - at, document))
            sound = False
            break
        value, mistakes = validate(document, kind)
        found += [each for each in mistakes if each.location not in traps]
        if value is None:
            sound = False
        else:
            placed.append(Placed(value, document))
    policies, together = decode(placed)
    found += [each for each in together if each.location not in traps and _believable(each, sound=sound and not traps)]
    diagnostics = tuple(sorted(set(found), key=sort_key))
    failed = any(each.severity is Severity.ERROR for each in diagnostics)
    return Reading(None if failed else policies, diagnostics, sources, texts)


def _too_many(left: int, document: Document) -> Diagnostic:
    what = f"more than {MOST_MISTAKES:,} errors: {left:,} documents were not checked, from this one on"
    return Diagnostic("RCL1096", Severity.ERROR, what, "Correct these first, and validate again.", document.at())


# --- The quick way ---------------------------------------------------------------------------------------------

#: From so many files on, and with more than one processor, files are read in parallel.
_MANY_FILES = 2_000
_CHUNK = 250

Plains = list[tuple[Any, int, int]] | None


def _read_quickly(texts: Mapping[str, bytes]) -> dict[str, tuple[bytes, Plains]]:
    """Name -> content and plain documents, None where only the careful way will do."""
    workers = min(8, os.cpu_count() or 1)
    if len(texts) < _MANY_FILES or workers < 2 or threading.active_count() > 1 or not hasattr(os, "fork"):
        return {name: (data, quick(data)) for name, data in texts.items()}
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    names = list(texts)
    chunks = [names[first : first + _CHUNK] for first in range(0, len(names), _CHUNK)]
    found: dict[str, tuple[bytes, Plains]] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        answers = pool.map(_quick_chunk, [[texts[name] for name in chunk] for chunk in chunks])
        for chunk, answer in zip(chunks, answers, strict=True):
            plains: list[Plains] = encoded.read_packed(answer)
            found.update((name, (texts[name], plain)) for name, plain in zip(chunk, plains, strict=True))
    return found


def _quick_chunk(texts: list[bytes]) -> bytes:
    return msgspec.msgpack.encode([quick(data) for data in texts])


def _all_typed(name: str, data: bytes, plains: Plains) -> list[Placed[Any]] | None:
    """The file's documents, typed, where nothing at all is to be said of them and no preset is merged."""
    if plains is None:
        return None
    places = _Places(name, data)
    placed: list[Placed[Any]] = []
    for index, (plain, line, column) in enumerate(plains):
        kind = plain.get("kind") if isinstance(plain, dict) else None
        if not isinstance(kind, str) or kind not in KINDS or kind == "Preset" or "extends" in plain:
            return None
        try:
            value = typed(plain, kind)
        except (msgspec.ValidationError, ValueError):
            return None
        placed.append(Placed(value, Lazy(Location(name, line, column), partial(places.document, index))))
    return placed


class _Places:
    """The places of a file that was read without them: found once somebody asks."""

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._data = data
        self._documents: tuple[Document, ...] = ()

    def document(self, index: int) -> Document:
        if not self._documents:
            self._documents, _ = load(self._name, self._data)
        return self._documents[index]


def _believable(finding: Diagnostic, *, sound: bool) -> bool:
    """References to a document that is itself wrong are not reported: its own mistake is."""
    return sound or finding.code != "RCL1024"


# --- Presets ---------------------------------------------------------------------------------------------------


def _merged(documents: list[tuple[str, Document]], found: list[Diagnostic]) -> Iterator[tuple[str, Document]]:
    """The documents, groups with the presets that they name under `extends`."""
    presets: dict[str, Node] = {}
    for kind, document in documents:
        if kind == "Preset":
            name, spec = _name(document), document.root.child("spec")
            if name is not None and spec is not None:
                presets.setdefault(name, spec)
    for kind, document in documents:
        extends = document.root.child("extends")
        if kind == "ProtectionGroup" and extends is not None and isinstance(extends.children, list):
            yield kind, _with_presets(document, extends.children, presets, found)
        else:
            yield kind, document


def _name(document: Document) -> str | None:
    metadata = document.root.child("metadata")
    name = metadata.child("name") if metadata else None
    return name.value if name is not None and isinstance(name.value, str) else None


def _with_presets(
    document: Document, extends: list[Node], presets: Mapping[str, Node], found: list[Diagnostic]
) -> Document:
    own = document.root.child("spec")
    spec: Node | None = None
    for item in extends:
        if item.value in presets:
            spec = presets[item.value] if spec is None else merge(spec, presets[item.value])
        elif isinstance(item.value, str):
            remedy = f"Known: {', '.join(sorted(presets))}." if presets else "Write a Preset document."
            what = f"there is no preset {item.value!r}"
            found.append(Diagnostic("RCL1024", Severity.ERROR, what, remedy, item.place))
    if spec is None or not isinstance(document.root.children, dict):
        return document
    root = copy(document.root)
    root.children = document.root.children | {"spec": merge(spec, own) if own is not None else spec}
    return Document(document.file, root, document.lines)
