"""Naming: changes and the groups that servers hold -> the changes without those that would call two groups the same.

A server refuses that, so a step would fail now and at every later apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.errors import Diagnostic, Severity
from reconciler.model import CatalogSnapshot, Change, ProtectionGroup
from reconciler.model.names import alike


def naming(
    changes: Iterable[Change], catalogs: Mapping[str, CatalogSnapshot]
) -> tuple[tuple[Change, ...], tuple[Diagnostic, ...]]:
    """The changes that get their names, and an error for each other one: another group keeps its name, or groups
    would only swap theirs."""
    kept, found = tuple(changes), list[Diagnostic]()
    for server, catalog in sorted(catalogs.items()):
        for judge in (_taken, _swapped):
            mine = [change for change in kept if change.server == server]
            wrong = judge(mine, catalog)
            found += wrong.values()
            kept = tuple(change for change in kept if change.server != server or change.group not in wrong)
    return kept, tuple(found)


def _taken(changes: list[Change], catalog: CatalogSnapshot) -> dict[str, Diagnostic]:
    """Groups whose name stays with another group, which no change touches."""
    touched = {change.ref for change in changes if change.ref}
    holders = [each.group for each in catalog.groups if each.ref not in touched]
    found = {}
    for change in changes:
        after = change.after
        holder = next((each for each in holders if after is not None and _clash(after, each)), None)
        if after is not None and holder is not None:
            what = (
                f"{catalog.server} has the group {holder.name}, called {holder.display_name!r}, so {change.group} "
                f"cannot be called {after.display_name!r}"
            )
            remedy = "Give one of them another displayName; name the old group in `renamedFrom` if this is it."
            found[change.group] = Diagnostic("RCL3092", Severity.ERROR, what, remedy, change.location)
    return found


def _clash(one: ProtectionGroup, other: ProtectionGroup) -> bool:
    return alike(one.name, other.name) or alike(one.display_name, other.display_name)


def _swapped(changes: list[Change], catalog: CatalogSnapshot) -> dict[str, Diagnostic]:
    """Rings of groups each of which takes the name that the next one gives up."""
    waits = {
        change.group: other.group
        for change in changes
        for other in changes
        if other is not change and other.after is not None and _takes(change, other)
    }
    found: dict[str, Diagnostic] = {}
    for change in changes:
        path = [change.group]
        while (following := waits.get(path[-1])) is not None and following not in path:
            path.append(following)
        if following == change.group:
            what = f"on {catalog.server} {' and '.join(sorted(path))} would swap their names, which no server does"
            remedy = "Give one of them a new displayName and apply, then the one that it is to have."
            found[change.group] = Diagnostic("RCL3093", Severity.ERROR, what, remedy, change.location)
    return found


def _takes(change: Change, other: Change) -> bool:
    """Whether a group that is there gets a name that another one has until now."""
    before, after, theirs = change.before, change.after, other.before
    if before is None or after is None or theirs is None:
        return False
    name = after.name != before.name and after.name == theirs.name
    renamed = not alike(after.display_name, before.display_name)
    return name or (renamed and alike(after.display_name, theirs.display_name))
