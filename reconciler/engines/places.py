"""Places: the files of a recovery point, where the disks are now -> which file goes where. Pure.

A file is told from another by its whole path, or by an id that its machine's configuration states; by its bare name
only where no second file on either side has that name. What cannot be told apart is refused, never guessed.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from reconciler.errors import Refused, UsageError
from reconciler.files import LONGEST_NAME, bounded
from reconciler.system_calls import allowed_name, name_problem

#: How many hexadecimal digits of its path's SHA-256 tell a made-up name from others, at least.
_TELLING = 8


class Configured(msgspec.Struct, frozen=True):
    """The files of a machine as its configuration names them: the path of the configuration, and the path of each disk
    with the id that it states ("" for none)."""

    config: str
    disks: Mapping[str, str]


def file_name(path: str) -> str:
    """The last part of a path, whichever way its slashes lean."""
    return path.replace("\\", "/").rpartition("/")[2]


def folder_of(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[0]


# --- Which files ---------------------------------------------------------------------------------------------


def chosen(paths: Sequence[str], config: str, wanted: Iterable[str], point: str) -> tuple[str, ...]:
    """The paths that `wanted` names, in the order of `paths`; all of them where nothing is named.

    A disk is named by its path, by its path within the machine's folder, or by as much of the end of its path as no
    other disk has. Raises `Refused`, RCL7005, for one that is not there, `UsageError`, RCL7012, for one that is
    several.
    """
    names = tuple(wanted)
    if not names:
        return tuple(paths)
    meant = {_meant(paths, folder_of(config), name, point) for name in names}
    return tuple(path for path in paths if path in meant)


def _meant(paths: Sequence[str], home: str, name: str, point: str) -> str:
    if name in paths:
        return name
    if f"{home}/{name}" in paths:
        return f"{home}/{name}"
    tail = "/" + name.replace("\\", "/").lstrip("/")
    found = [path for path in paths if ("/" + path.replace("\\", "/")).endswith(tail)]
    if not found:
        raise Refused(
            "RCL7005",
            f"the point has no disk {name!r}",
            f"It has: {', '.join(paths)}.",
            subject=point,
        )
    if len(found) > 1:
        raise UsageError(
            "RCL7012",
            f"{name!r} is the name of {len(found)} disks: {', '.join(found)}",
            "Name the one that is meant by its path.",
            subject=point,
        )
    return found[0]


# --- Into a folder -------------------------------------------------------------------------------------------


def folder_names(paths: Sequence[str], config: str) -> dict[str, str]:
    """A name in a folder for each path, no two the same, however letters are compared there, none longer than a file
    system takes. A file keeps its own name where no other one has it, as the configuration always does, and where the
    system takes it; the others get their path's hash into it. The names depend on the point alone, not on what is
    chosen of it."""
    counts = Counter(_fold(file_name(path)) for path in paths)
    names: dict[str, str] = {}
    for path in paths:
        own = file_name(path)
        allowed = len(_bytes(own)) <= LONGEST_NAME and not name_problem(own)
        if allowed and (counts[_fold(own)] == 1 or path == config):
            names[path] = own
    taken = {_fold(file_name(path)) for path in paths}
    for path in sorted(set(paths) - set(names)):
        names[path] = _made_up(path, taken)
        taken.add(_fold(names[path]))
    return names


def _made_up(path: str, taken: set[str]) -> str:
    digest = sha256(_bytes(path)).hexdigest()
    own = allowed_name(file_name(path))
    stem, dot, suffix = own.rpartition(".")
    if not dot or len(suffix) > 16:
        stem, suffix = own, ""
    for length in range(_TELLING, len(digest) + 1):
        name = bounded(stem, f".{digest[:length]}" + (f".{suffix}" if suffix else ""))
        if _fold(name) not in taken:
            return name
    raise AssertionError("two paths have one SHA-256")


def _fold(name: str) -> str:
    """Coarser than any file system compares: what is taken for the same here costs a longer name, nothing else."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFC", name).casefold()).rstrip(". ")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# --- To the original place -----------------------------------------------------------------------------------


def original_places(then: Configured, now: Configured, subject: str) -> dict[str, str]:
    """Where each file of the point lies now, by its path then: the machine's storage may have moved since.

    A disk is found by its path; by its id; by its path within the machine's folder; by its name where that is the name
    of no other disk, then or now. One that the machine no longer has goes where it was, if the machine has no disk that
    could be it. Raises `Refused`, RCL7014, where it cannot be told.
    """
    places = {then.config: now.config}
    for tell in (_by_path, _by_id, _within_folder, _by_name):
        for path in then.disks:
            if path not in places:
                place = tell(path, then, now)
                if place is not None and place not in places.values():
                    places[path] = place
    lost = [path for path in then.disks if path not in places]
    spare = sorted(set(now.disks) - set(places.values()))
    if lost and spare:
        raise Refused(
            "RCL7014",
            f"{lost[0]!r} is not a disk of the virtual machine now, and {', '.join(map(repr, spare))} was none of it "
            "then: whether they are the same disk cannot be told",
            "Recover to a folder (--to FOLDER), and put it where it belongs.",
            subject=subject,
        )
    return places | {path: path for path in lost}


def _by_path(path: str, then: Configured, now: Configured) -> str | None:
    return path if path in now.disks else None


def _by_id(path: str, then: Configured, now: Configured) -> str | None:
    wanted = then.disks[path]
    if not wanted or list(then.disks.values()).count(wanted) != 1:
        return None
    found = [place for place, known in now.disks.items() if known == wanted]
    return found[0] if len(found) == 1 else None


def _within_folder(path: str, then: Configured, now: Configured) -> str | None:
    home = folder_of(then.config) + "/"
    moved = folder_of(now.config) + "/" + path.removeprefix(home)
    return moved if path.startswith(home) and moved in now.disks else None


def _by_name(path: str, then: Configured, now: Configured) -> str | None:
    name = file_name(path)
    found = [place for place in now.disks if file_name(place) == name]
    alone = sum(file_name(each) == name for each in then.disks) == 1
    return found[0] if alone and len(found) == 1 and found[0] not in then.disks else None
