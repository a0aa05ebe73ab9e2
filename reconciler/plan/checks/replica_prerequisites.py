"""Replica machines: how Hyper-V Replica stands for a machine -> whether it can be backed up, and why not.

Each state of the article's list has its own code.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from reconciler.errors import Location, Severity
from reconciler.model import Replication, ReplicationMode, VirtualMachine
from reconciler.model.names import alike, fold
from reconciler.model.preflight import Check, CheckState

#: Hyper-V Replica's states in which a backup of a replica machine fails: folded word -> (code, what it is)
#: [Get-VMReplication; the article's list of conditions].
_STATES = {
    "RESYNCHRONIZING": ("RCL2222", "is being resynchronized"),
    "WAITINGFORSTARTRESYNCHRONIZE": ("RCL2223", "has to be resynchronized"),
    "RESYNCHRONIZESUSPENDED": ("RCL2223", "has to be resynchronized"),
    "INITIALREPLICATIONINPROGRESS": ("RCL2224", "is in its initial replication"),
    "WAITINGFORINITIALREPLICATION": ("RCL2225", "waits for its initial replication"),
    "READYFORINITIALREPLICATION": ("RCL2225", "waits for its initial replication"),
    "MIGRATIONINPROGRESS": ("RCL2230", "is being migrated"),
    "PREPAREDFORFAILOVER": ("RCL2231", "is failing over"),
    "FAILEDOVERWAITINGCOMPLETION": ("RCL2231", "is failing over"),
    "FAILEDOVER": ("RCL2231", "has failed over"),
    "RECOVERYINPROGRESS": ("RCL2231", "is failing over"),
    "FAILBACKINPROGRESS": ("RCL2231", "is failing back"),
    "FAILBACKCOMPLETE": ("RCL2231", "has failed back"),
}
_LOGS = {
    "APPLYING": ("RCL2226", "has .hrl logs being applied"),
    "FAILED": ("RCL2227", "has .hrl logs whose application failed"),
    "CANCELED": ("RCL2228", "has .hrl logs whose application was canceled"),
    "INTERRUPTED": ("RCL2229", "has .hrl logs whose application was interrupted"),
}
REPLICAS = (ReplicationMode.REPLICA, ReplicationMode.TEST_REPLICA, ReplicationMode.EXTENDED_REPLICA)


def mode_of(machine: VirtualMachine) -> ReplicationMode | None:
    """The machine's part in Hyper-V Replica; None where it is not known."""
    return None if machine.replication is UNSET else machine.replication.mode


def replica_checks(machine: VirtualMachine, place: Location | None) -> Iterator[Check]:
    """A machine that takes part in Hyper-V Replica: crash-consistent only, and not in these states."""
    name = machine.name
    remedy = "Wait until it has finished, or repair the replication; backups fail until then."

    def check(code: str, state: CheckState, severity: Severity, what: str, remedy: str) -> Check:
        return Check(code, state, severity, name, what, remedy, (), place)

    if machine.replication is UNSET:
        yield check(
            "RCL2220",
            CheckState.UNKNOWN,
            Severity.WARNING,
            f"whether {name} is a replica",
            "Declare it in the inventory.",
        )
        return
    replication: Replication = machine.replication
    if replication.mode not in REPLICAS:
        yield check("RCL2220", CheckState.PASSED, Severity.WARNING, f"{name} is no replica", "")
        return
    what = f"{name} is a replica virtual machine: its points are crash-consistent, no more"
    yield check(
        "RCL2232",
        CheckState.FAILED,
        Severity.ADVICE,
        what,
        "Protect its primary where applications must be consistent.",
    )
    troubles = []
    if isinstance(replication.health, str) and alike(replication.health, "critical"):
        troubles.append(("RCL2221", "is unhealthy, in a critical state"))
    if isinstance(replication.state, str) and fold(replication.state) in _STATES:
        troubles.append(_STATES[fold(replication.state)])
    if isinstance(replication.log, str) and fold(replication.log) in _LOGS:
        troubles.append(_LOGS[fold(replication.log)])
    for code, trouble in troubles:
        yield check(code, CheckState.FAILED, Severity.ERROR, f"the replica virtual machine {name} {trouble}", remedy)
    facts = {"health": replication.health, "state": replication.state, "log application": replication.log}
    unknown = [fact for fact, value in facts.items() if value is UNSET]
    if unknown:
        what = f"the {' and '.join(unknown)} of the replica virtual machine {name}"
        yield check("RCL2220", CheckState.UNKNOWN, Severity.WARNING, what, "Make it observable.")
    elif not troubles:
        yield check(
            "RCL2220", CheckState.PASSED, Severity.WARNING, f"the replica virtual machine {name} is healthy", ""
        )
