"""What ties changes to each other: a change -> the machines and the names that it lets go of, or takes."""

from __future__ import annotations

from reconciler.model import Change, DataSource, ProtectionGroup


def lost(change: Change) -> frozenset[DataSource]:
    """The data sources that the change takes out of its group."""
    return _sources(change.before) - _sources(change.after)


def gained(change: Change) -> frozenset[DataSource]:
    """The data sources that the change takes into its group."""
    return _sources(change.after) - _sources(change.before)


def names_freed(change: Change) -> frozenset[tuple[str, str]]:
    """The names that another group can have once the change is done, each with its sort."""
    return _names(change.before) - _names(change.after)


def names_taken(change: Change) -> frozenset[tuple[str, str]]:
    """The names that no other group may have when the change is done, each with its sort."""
    return _names(change.after) - _names(change.before)


def _sources(group: ProtectionGroup | None) -> frozenset[DataSource]:
    return group.sources if group is not None else frozenset()


def _names(group: ProtectionGroup | None) -> frozenset[tuple[str, str]]:
    return frozenset({("name", group.name), ("displayName", group.display_name)}) if group is not None else frozenset()
