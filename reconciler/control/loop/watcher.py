"""Watchers: who is told what the loop does, as it does it; each finding once, and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from reconciler.control.error_boundary import Bounds
from reconciler.control.loop.tick import Tick
from reconciler.errors import Diagnostic, sort_key
from reconciler.model import JobRecord


class Watcher(Protocol):
    """Is told what the loop does. `over`: a finding that was `said` stands no more."""

    def ticked(self, done: Tick) -> None: ...
    def job(self, record: JobRecord) -> None: ...
    def said(self, finding: Diagnostic) -> None: ...
    def over(self, finding: Diagnostic) -> None: ...


class CarefulWatcher:
    """A watcher whose own troubles do not end the loop: where nobody reads any more, nothing more is told."""

    def __init__(self, watcher: Watcher, root: Path) -> None:
        self._watcher = watcher
        self._root = root
        self._gone = False

    def ticked(self, done: Tick) -> None:
        self._tell(lambda: self._watcher.ticked(done))

    def job(self, record: JobRecord) -> None:
        self._tell(lambda: self._watcher.job(record))

    def said(self, finding: Diagnostic) -> None:
        self._tell(lambda: self._watcher.said(finding))

    def over(self, finding: Diagnostic) -> None:
        self._tell(lambda: self._watcher.over(finding))

    def _tell(self, act: Callable[[], None]) -> None:
        if self._gone:
            return
        with Bounds(self._root).about("telling what the loop does"):
            try:
                act()
            except OSError:
                self._gone = True


class FindingsTold:
    """The findings that stand, by topic: what a tick found is not over because the next one has to wait its turn."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._told: dict[str, frozenset[Diagnostic]] = {}

    def tell(self, topic: str, findings: Iterable[Diagnostic]) -> None:
        """Says each finding of the topic once, and again only after it was gone; then what is over."""
        now, before = frozenset(findings), self._told.get(topic, frozenset())
        self._told[topic] = now
        for finding in sorted(now - before, key=sort_key):
            self._watcher.said(finding)
        for finding in sorted(before - now, key=sort_key):
            self._watcher.over(finding)
