"""What ties changes to each other: a change -> the machines and the names that it lets go of, or takes."""

from __future__ import annotations

from reconciler.model import Change, DataSource, ProtectionGroup, Verb


def members_removed(change: Change) -> frozenset[DataSource]:
    """The data sources that the change takes out of its group."""
    return _sources(change.before) - _sources(_after(change))


def members_added(change: Change) -> frozenset[DataSource]:
    """The data sources that the change takes into its group."""
    return _sources(_after(change)) - _sources(change.before)


def names_freed(change: Change) -> frozenset[tuple[str, str]]:
    """The names that another group can have once the change is done, each with its sort."""
    return _names(change.before) - _names(_after(change))


def names_taken(change: Change) -> frozenset[tuple[str, str]]:
    """The names that no other group may have when the change is done, each with its sort."""
    return _names(_after(change)) - _names(change.before)


def _after(change: Change) -> ProtectionGroup | None:
    """The group once the change is done; taking it into the ledger changes nothing of it."""
    return change.before if change.verb is Verb.ADOPT else change.after


def _sources(group: ProtectionGroup | None) -> frozenset[DataSource]:
    return group.sources if group is not None else frozenset()


def _names(group: ProtectionGroup | None) -> frozenset[tuple[str, str]]:
    return frozenset({("name", group.name), ("displayName", group.display_name)}) if group is not None else frozenset()
