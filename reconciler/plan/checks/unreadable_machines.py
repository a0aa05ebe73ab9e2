"""Unread: what clusters could not read of themselves -> a finding for each machine that is there and cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from reconciler.errors import Diagnostic, Severity
from reconciler.model import ClusterSnapshot, DataSource

#: A machine that is there and cannot be read.
UNREAD = "RCL2026"


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
