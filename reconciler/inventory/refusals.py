"""Refusals: a virtual machine or a file that its cluster does not have, or that cannot be read -> what is raised."""

from __future__ import annotations

from reconciler.errors import Refused
from reconciler.protocols import NOT_THERE


def deleted(machine: str, cluster: str) -> Refused:
    """A virtual machine, by id, of which the cluster has no role."""
    return Refused(
        NOT_THERE,
        f"the virtual machine {machine} was deleted from {cluster}, or moved away: no role of it is there",
        "Its recovery points are kept as its group says, and no new ones are made. `reconciler recover NAME` makes it "
        "again. If it is gone for good, let no rule of its group match it any more.",
        subject=machine,
    )


def unread(machine: str, why: str) -> Refused:
    """A virtual machine, by id, that is there and whose configuration cannot be read."""
    return Refused(
        NOT_THERE,
        f"the virtual machine {machine} cannot be read: {why}",
        "Correct that file, or make it readable. Its recovery points are kept; `reconciler recover NAME --to FOLDER` "
        "writes its files elsewhere.",
        subject=machine,
    )


def no_node(machine: str, cluster: str) -> Refused:
    """A virtual machine, by id, that cannot be made anew."""
    return Refused(
        NOT_THERE,
        f"the virtual machine {machine} cannot be made known: {cluster} has no node",
        "Its recovery points are kept: recover it to a folder (--to FOLDER), then make it highly available.",
        subject=machine,
    )


def no_file(path: str, error: OSError) -> Refused:
    """A file of a virtual machine that is not there, or cannot be read."""
    return Refused(
        "RCL2011",
        f"{path!r} cannot be read: {error.strerror or error}",
        "Check the disks of the virtual machine on the cluster.",
        subject=path,
    )
