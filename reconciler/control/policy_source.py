"""Where the policies of a run come from: the folder as it is, or the commits of a branch, fetched first if wanted."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from reconciler import encoded, files, gitrepo
from reconciler.control.error_boundary import Bounds
from reconciler.control.policy_folder import FOLDER, KEPT_IN, Policies, fingerprint, read_or_last_good
from reconciler.control.site import Stop
from reconciler.errors import Diagnostic, PolicyError, ReconcilerError, UsageError
from reconciler.parse import read_texts, read_tree

#: How often a remote is asked, in seconds; after a failure less and less often.
FETCH_SECONDS = 60.0
_RAREST_SECONDS = 900.0

#: The file below the root with the last commit of a branch that was good, and its policies.
_COPY = "committed"

#: The file below the root that says where `run` takes its policies from, for commands that show what it does.
_NOTE = "run-source.json"


class PolicySource(Protocol):
    """`branch` is what people call the branch whose commits count, "" for the folder as it is."""

    @property
    def branch(self) -> str: ...

    def refresh(self, stop: Stop) -> tuple[Diagnostic, ...]:
        """Fetches, where that is wanted and due; what stands in its way now."""
        ...

    def read(self) -> Policies:
        """The policies, or the last good ones with what is wrong. Raises where there are none."""
        ...

    def fingerprint(self) -> str:
        """Another one when the policies may be others; "" where that cannot be told."""
        ...


class WorkTree:
    """The folder as it is."""

    branch = ""

    def __init__(self, root: Path, *, reading: bool = False) -> None:
        self._root = root
        self._reading = reading

    def refresh(self, stop: Stop) -> tuple[Diagnostic, ...]:
        """See `PolicySource`."""
        return ()

    def read(self) -> Policies:
        """See `PolicySource`."""
        return read_or_last_good(self._root, reading=self._reading)

    def fingerprint(self) -> str:
        """See `PolicySource`."""
        return fingerprint(self._root)


class _Copy(msgspec.Struct, frozen=True):
    """The last good policies of a branch: its ref, the commit, and each file's path and content."""

    ref: str
    commit: str
    texts: list[tuple[bytes, bytes]]
    digest: str


class BranchCommits:
    """The commits of a branch: a commit that does not come after the last good one is not taken, unless it is the one
    that a person `accepted`. With `pull` it is the branch as its remote has it. `named`: a person named the branch, so
    that it may be another one than last time. Who is only `reading` keeps nothing."""

    def __init__(
        self,
        root: Path,
        ref: str,
        *,
        named: bool = False,
        pull: bool = False,
        accepted: str = "",
        reading: bool = False,
    ) -> None:
        self._root = root
        self._upstream = gitrepo.upstream(root, ref) if pull else None
        self.ref = self._upstream.tracking if self._upstream is not None else ref
        self._named = named
        self._accepted = accepted
        self._reading = reading
        self._read: Policies | None = None
        self._due = 0.0
        self._failures = 0
        self._in_the_way: tuple[ReconcilerError, ...] = ()

    @property
    def branch(self) -> str:
        """See `PolicySource`."""
        return gitrepo.branch_name(self.ref)

    def refresh(self, stop: Stop) -> tuple[Diagnostic, ...]:
        """See `PolicySource`. The tracking ref moves forward only, and nothing else moves."""
        if self._upstream is None or time.monotonic() < self._due:
            return tuple(each.diagnostic for each in self._in_the_way)
        bounds = Bounds(self._root)
        with bounds.about(f"fetching {self.branch}"):
            before = gitrepo.tip(self._root, self.ref)
            known = [before] if before else []
            now = gitrepo.fetch(self._root, self._upstream, known, lambda: stop.asked)
            if now != before:
                if now != self._accepted_commit(now):
                    gitrepo.check_forward(self._root, self.branch, before, now)
                gitrepo.forward(self._root, self.ref, now, before)
        self._in_the_way = tuple(bounds.troubles)
        self._failures = self._failures + 1 if bounds.troubles else 0
        self._due = time.monotonic() + min(FETCH_SECONDS * 2.0 ** min(self._failures, 8), _RAREST_SECONDS)
        return bounds.findings

    def read(self) -> Policies:
        """See `PolicySource`."""
        bounds = Bounds(self._root)
        with bounds.about(f"the commits of {self.branch}"):
            return self._now()
        kept = _kept(self._root)
        if kept is None or (kept.ref != self.ref and self._named):
            raise bounds.troubles[0]
        reading = read_texts(_paths(kept), FOLDER)
        if reading.policies is None:
            raise bounds.troubles[0]
        return Policies(reading.policies, False, bounds.findings, reading.texts, commit=kept.commit)

    def _now(self) -> Policies:
        commit = gitrepo.tip(self._root, self.ref)
        if not commit and self._in_the_way:
            raise self._in_the_way[0]
        if not commit:
            what = f"there is no branch {self.branch} in this repository"
            remedy = "Name one that is there with --branch NAME; with --pull, see that it was fetched."
            raise UsageError("RCL6040", what, remedy, subject=self.branch)
        if self._read is not None and self._read.commit == commit:
            return self._read  # what a commit has never changes
        last = _kept(self._root)
        if last is not None and (last.ref == self.ref or not self._named) and commit != self._accepted_commit(commit):
            gitrepo.check_forward(self._root, self.branch, last.commit, commit)
        reading = read_tree(gitrepo.CommitTree(self._root, commit), FOLDER)
        if reading.policies is None:
            raise PolicyError(reading.diagnostics)
        found: tuple[Diagnostic, ...] = ()
        if not self._reading:
            keeping = Bounds(self._root)
            with keeping.about("keeping the policies for a day on which they are wrong"):
                _keep(self._root, self.ref, commit, reading.texts)
            found = keeping.findings
        read = Policies(
            reading.policies, True, (*reading.diagnostics, *found), reading.texts, kept=not found, commit=commit
        )
        self._read = read if not found else None
        return read

    def _accepted_commit(self, commit: str) -> str:
        """The commit, where it is the one that a person accepted, else ""."""
        return commit if self._accepted and commit.startswith(self._accepted) else ""

    def fingerprint(self) -> str:
        """See `PolicySource`."""
        with Bounds(self._root).about("the branch"):
            return gitrepo.tip(self._root, self.ref)
        return ""


# --- What was good, and where it came from -------------------------------------------------------------------------


def _keep(root: Path, ref: str, commit: str, texts: Mapping[str, bytes]) -> None:
    """In one file, by what its paths say and not under them: a commit can have names that no file system should."""
    listed = sorted((path.encode("utf-8", "surrogateescape"), data) for path, data in texts.items())
    copy = _Copy(ref, commit, listed, _digest(ref, commit, listed))
    files.make_folder(root / KEPT_IN)
    files.write_whole(root / KEPT_IN / _COPY, msgspec.msgpack.encode(copy))


def _kept(root: Path) -> _Copy | None:
    """What was kept, if it is as it was."""
    try:
        copy = encoded.PackedReader(_Copy).decode(files.read_regular(root / KEPT_IN / _COPY))
    except (OSError, encoded.Wrong):
        return None
    return copy if copy.digest == _digest(copy.ref, copy.commit, copy.texts) else None


def _paths(copy: _Copy) -> dict[str, bytes]:
    return {path.decode("utf-8", "surrogateescape"): data for path, data in copy.texts}


def _digest(ref: str, commit: str, texts: list[tuple[bytes, bytes]]) -> str:
    return hashlib.sha256(msgspec.msgpack.encode([ref, commit, texts])).hexdigest()


class _Note(msgspec.Struct, frozen=True):
    """The ref whose commits `run` acts on; "" for the folder as it is."""

    ref: str


def note_source(root: Path, source: PolicySource) -> None:
    """Notes for other commands where `run` takes its policies from."""
    ref = source.ref if isinstance(source, BranchCommits) else ""
    path = root / KEPT_IN / _NOTE
    if ref or path.exists():
        files.make_folder(path.parent)
        files.write_whole(path, msgspec.json.encode(_Note(ref)))


def source_of_run(root: Path) -> PolicySource:
    """Where `run` takes its policies from here, for who only shows what it does."""
    try:
        ref = encoded.read(files.read_regular(root / KEPT_IN / _NOTE, 65_536), _Note).ref
    except (OSError, encoded.Wrong):
        ref = ""
    return BranchCommits(root, ref, reading=True) if ref else WorkTree(root, reading=True)
