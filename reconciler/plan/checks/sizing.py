"""Sizing: machines, churn and a group's schedule -> bytes that change in a day, and bytes that a group should have.

A model by rules of thumb: measured values replace it where there are any.
"""

from __future__ import annotations

from datetime import timedelta

from reconciler.model import ShortTerm, VirtualMachine
from reconciler.model.documents import Churn
from reconciler.model.units import parse_rate

#: What MABS assumes where nothing is known [create-dpm-protection-groups: log change 3 %].
DEFAULT_CHURN = 0.03


def size_of(machine: VirtualMachine) -> int:
    """Bytes of a machine's disks: what is allocated where that is known, else the file, else what the guest sees."""
    total = 0
    for disk in machine.disks:
        for size in (disk.allocated_bytes, disk.file_bytes, disk.size_bytes):
            if isinstance(size, int):
                total += size
                break
    return total


def churn_of(machine: VirtualMachine, churn: Churn | None) -> float | None:
    """Share of the machine's disks that changes in a day; None where the site does not say. The first rule whose
    labels it has counts."""
    if churn is None:
        return None
    for rule in churn.by_label:
        if rule.labels.items() <= machine.labels.items():
            return parse_rate(rule.rate)
    return parse_rate(churn.default)


def provisioned(size: int, churn: float, term: ShortTerm) -> int:
    """Bytes to provision for a member: size x (1 + churn x days) x 1.05.

    MABS's rule also has a factor of points a day, for backups that each change that much
    [create-dpm-protection-groups]; `churn` here is what changes in a whole day, however many points share it.
    """
    days = term.retention / timedelta(days=1)
    return round(size * (1 + churn * days) * 1.05)
