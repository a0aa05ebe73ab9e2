"""What clusters do not show, or could not read of themselves -> a finding for each virtual machine that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from shlex import quote

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import ClusterSnapshot, DataSource, KnownMember

#: A machine that is there and cannot be read.
UNREAD = "RCL2026"

#: A member that its cluster does not show.
MISSING = "RCL3002"


def missing(member: KnownMember, group: str, where: Location, *, believed: bool) -> Diagnostic:
    """A member of a group that its cluster does not show. `believed`: the cluster shows enough of itself that this one
    was deleted, or moved away."""
    cluster, name = member.source.cluster, member.name
    if believed:
        what = f"{name!r} was deleted from {cluster}, or moved away; it remains a member of {group}"
        remedy = (
            f"Its recovery points are kept, and no new ones are made. To have it back: `reconciler recover "
            f"{quote(name)}`. If it is gone for good, let the rule no longer match it, by `except` for example."
        )
    else:
        what = f"{name!r} remains a member of {group} although {cluster} shows under half of its known virtual machines"
        remedy = "Its recovery points are kept. Check the cluster first: nothing is concluded from so little."
    return Diagnostic(MISSING, Severity.WARNING, what, remedy, where, subject=name)


def unread(clusters: Mapping[str, ClusterSnapshot], name_of: Callable[[DataSource], str]) -> Iterator[Diagnostic]:
    """By cluster. What such a machine is to be stays as the ledger has it: nothing is concluded about it."""
    for cluster, seen in sorted(clusters.items()):
        for each in seen.unseen:
            name = name_of(DataSource(cluster, each.id)) or each.where
            yield Diagnostic(
                UNREAD,
                Severity.WARNING,
                f"the virtual machine {name!r} on {cluster} cannot be read ({each.where}): {each.why}",
                "Correct that file, or make it readable. Until then its protection is neither begun nor ended.",
                subject=name,
            )
