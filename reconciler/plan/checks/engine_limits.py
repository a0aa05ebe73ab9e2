"""Fitting: a desired state and what each engine can hold -> findings where the engine cannot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Capabilities, format_duration
from reconciler.plan.desired.state import DesiredGroup, DesiredState


def fit(desired: DesiredState, capabilities: Mapping[str, Capabilities]) -> tuple[Diagnostic, ...]:
    """What the servers cannot hold as it is written. Each is an error at its place in the policy."""
    findings = []
    for group in desired.groups:
        able = capabilities.get(group.server)
        if able is not None:
            findings += _retention(group, able) + _synchronization(group, able) + _without_effect(group, able)
            findings += _pause(group, able)
    return tuple(findings)


def _retention(desired: DesiredGroup, able: Capabilities) -> list[Diagnostic]:
    least, most = able.retention_days
    retention = desired.group.short_term.retention
    if timedelta(days=least) <= retention <= timedelta(days=most):
        return []
    return [
        Diagnostic(
            "RCL3006",
            Severity.ERROR,
            f"{desired.server} keeps points for {least} to {most} days, not {format_duration(retention)}",
            "Write a retention within that range.",
            desired.place("shortTerm.retention"),
        )
    ]


def _pause(desired: DesiredGroup, able: Capabilities) -> list[Diagnostic]:
    """What an engine of an installed package cannot do is known only once it is opened."""
    if desired.group.paused is None or able.pauses:
        return []
    what = f"{desired.server} has no pause of a group: backups of {desired.group.name} would continue"
    remedy = "Take `paused` out, or use a server with another engine."
    return [Diagnostic("RCL1114", Severity.ERROR, what, remedy, desired.place("paused"))]


def _without_effect(desired: DesiredGroup, able: Capabilities) -> list[Diagnostic]:
    """Machines that take no incrementals get their points from express fulls alone, and people are told."""
    interval = desired.group.short_term.synchronization
    if interval is None or able.takes_incrementals or not able.runs_jobs_itself:
        return []
    return [
        Diagnostic(
            "RCL3020",
            Severity.ADVICE,
            f"{desired.server} makes points of whole virtual machines at each express full; the interval of "
            f"{format_duration(interval)} has no effect on them",
            "Leave it, or write beforeRecoveryPoint with recoveryPoints.",
            desired.place("shortTerm.synchronization"),
        )
    ]


def _synchronization(desired: DesiredGroup, able: Capabilities) -> list[Diagnostic]:
    interval = desired.group.short_term.synchronization
    if interval is None or able.synchronizations is None or interval in able.synchronizations:
        return []
    choices = ", ".join(format_duration(choice) for choice in able.synchronizations)
    return [
        Diagnostic(
            "RCL3007",
            Severity.ERROR,
            f"{desired.server} does not synchronize every {format_duration(interval)}",
            f"Choose one of {choices}.",
            desired.place("shortTerm.synchronization"),
        )
    ]
