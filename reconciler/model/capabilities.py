"""What each engine can hold and read back, as data: a row for each engine, known offline.

So the pure rooms can be told, and a policy that a server cannot hold is refused before a server is asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import msgspec


class Lack(msgspec.Struct, frozen=True):
    """A field of a group's `spec` that an engine cannot hold.

    `path` is the policy's, ``[]`` for every item of a list. `holds` are the values that are fine (JSON values);
    none: whatever is written is refused. `later`: a later version will; else `why` says why it never can.
    """

    path: str
    why: str = ""
    holds: tuple[Any, ...] = ()
    later: bool = False


class Capabilities(msgspec.Struct, frozen=True):
    """What an engine can hold and read back.

    `schedules` says who runs the jobs. `takes_incrementals` of whole machines: None is unknown until the server
    shows it. `unreadable` names fields of `ProtectionGroup` (dotted, policy spelling) that `observe` cannot give:
    they are compared with what was last applied. `synchronizations` None: any interval. `retention_days` is
    (least, most). `lacks` are the fields that it cannot hold. `most_machines` is what one server
    protects at most. `inventories` are the kinds it can back up from.
    """

    schedules: Literal["engine", "reconciler"]
    takes_incrementals: bool | None
    unreadable: frozenset[str] = frozenset()
    synchronizations: tuple[timedelta, ...] | None = None
    retention_days: tuple[int, int] = (1, 448)
    lacks: tuple[Lack, ...] = ()
    most_machines: int = 800
    inventories: frozenset[str] = frozenset({"directory", "hyperv", "snapshot"})

    @property
    def pauses(self) -> bool:
        """Whether it holds the pause of a group, and lets nothing expire in it."""
        return not any(lack.path == "paused" for lack in self.lacks)

    @property
    def runs_jobs_itself(self) -> bool:
        """Whether the server makes points, and prunes them, by the schedules that it was given."""
        return self.schedules == "engine"


#: The engine that ships with the product.
EMBEDDED = Capabilities(
    schedules="reconciler",
    takes_incrementals=True,
    lacks=(
        Lack("members[].hosts", later=True),
        Lack("members[].level", holds=("host",), later=True),
        Lack("members[].protect", later=True),
        Lack("online", later=True),
        Lack("colocate", holds=(False,), later=True),
        Lack("backupWindow", later=True),
        Lack("replicaCreation", holds=("now",), later=True),
        Lack("verification", later=True),
    ),
    inventories=frozenset({"directory", "snapshot"}),
)

_WEEKLY_ONLY = "its short-term schedules are days of the week and times [Set-DPMPolicySchedule]"

#: Microsoft Azure Backup Server, by its documentation; no server was at hand. What it cannot read back is what has
#: no documented reader.
MABS = Capabilities(
    schedules="engine",
    takes_incrementals=None,
    unreadable=frozenset(
        {
            "colocate",
            "consistencyCheck.whenInconsistent",
            "deletionProtection",
            "existingPoints",
            "members.volume",
            "shortTerm.minimumPoints",
            "shortTerm.rpo",
            "shortTerm.synchronization",
        }
    ),
    synchronizations=tuple(timedelta(minutes=each) for each in (15, 30, 45, 60, 120, 240, 360, 720, 1440)),
    lacks=(
        Lack("shortTerm.minimumPoints", "the server does its own pruning, by age alone", holds=(3,)),
        Lack("shortTerm.expressFull.weeks", _WEEKLY_ONLY, holds=([],)),
        Lack("shortTerm.expressFull.months", _WEEKLY_ONLY, holds=([],)),
        Lack("shortTerm.expressFull.daysOfMonth", _WEEKLY_ONLY, holds=([],)),
        Lack("shortTerm.recoveryPoints.weeks", _WEEKLY_ONLY, holds=([],)),
        Lack("shortTerm.recoveryPoints.months", _WEEKLY_ONLY, holds=([],)),
        Lack("shortTerm.recoveryPoints.daysOfMonth", _WEEKLY_ONLY, holds=([],)),
        Lack("paused", "the server runs its own schedules and expires points by age, and has no pause of a group"),
    ),
    inventories=frozenset({"directory", "hyperv", "snapshot"}),
)

#: An engine of an installed package, as long as it is not opened: nothing is known, so nothing is refused.
PLUGIN = Capabilities(schedules="reconciler", takes_incrementals=None)

ENGINES = {"embedded": EMBEDDED, "mabs": MABS, "plugin": PLUGIN}
