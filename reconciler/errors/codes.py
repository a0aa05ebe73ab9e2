"""Every code a user can meet, with the explanation that ``reconciler explain CODE`` prints.

Codes are stable: one is never given a second meaning. They are numbered by room:
RCL0xxx command line and root, RCL1xxx policies, RCL2xxx inventory and prerequisites, RCL3xxx plan and
apply, RCL4xxx embedded engine and its store, RCL5xxx state (ledger, journal, locks), RCL6xxx schedule
and jobs, RCL7xxx recovery, RCL9xxx faults of ours.
"""

from __future__ import annotations

from typing import NamedTuple


class Explanation(NamedTuple):
    """What a code means: `title` in a few words, `cause` why it happens, `remedy` what to do."""

    title: str
    cause: str
    remedy: str


#: RCL0xxx: command line and root
_COMMAND_LINE = {
    "RCL0001": Explanation(
        "no policy folder found",
        "The root is the folder that holds policies/. None was found from here up to the top of the Git "
        "repository, or at the folder given with -C.",
        "Go to the root, or name it with -C DIR. A missing folder is never read as 'nothing is desired'.",
    ),
    "RCL0002": Explanation(
        "which site?",
        "The policies describe several sites, or none of the given name.",
        "Name one of the listed sites with --site NAME.",
    ),
    "RCL0003": Explanation(
        "the command line does not fit",
        "An option or argument is unknown, missing, or has a value that the command does not take.",
        "See COMMAND --help.",
    ),
    "RCL0004": Explanation(
        "unknown code",
        "There is no finding or error with this code.",
        "Codes are RCL and four digits, as printed beside a finding.",
    ),
    "RCL0005": Explanation(
        "interrupted",
        "Ctrl-C or SIGTERM came while the command was at work.",
        "Start the command again: it goes on from what the journal says was done.",
    ),
}

#: RCL1xxx: policies
_POLICIES: dict[str, Explanation] = {}

#: RCL2xxx: inventory and prerequisites
_INVENTORY: dict[str, Explanation] = {}

#: RCL3xxx: plan and apply
_PLAN: dict[str, Explanation] = {}

#: RCL4xxx: the embedded engine and its store
_STORE: dict[str, Explanation] = {}

#: RCL5xxx: state: ledger, journal, locks
_STATE: dict[str, Explanation] = {
    "RCL5001": Explanation(
        "a newer program wrote this",
        "The database has a schema version that this program does not know.",
        "Use the version that wrote it, or a newer one. Nothing was changed.",
    ),
    "RCL5002": Explanation(
        "a database cannot be read",
        "SQLite finds the file damaged, or it is no database.",
        "Keep the file for diagnosis, restore a backup of it, and check the disk.",
    ),
}

#: RCL6xxx: schedule and jobs
_JOBS: dict[str, Explanation] = {}

#: RCL7xxx: recovery
_RECOVERY: dict[str, Explanation] = {}

#: RCL9xxx: faults of ours
_INTERNAL = {
    "RCL9001": Explanation(
        "internal error",
        "The program met a state that its authors did not foresee.",
        "Please report it with the printed trace. What was begun is in the journal; nothing is half-written.",
    ),
}

CATALOG: dict[str, Explanation] = {
    **_COMMAND_LINE,
    **_POLICIES,
    **_INVENTORY,
    **_PLAN,
    **_STORE,
    **_STATE,
    **_JOBS,
    **_RECOVERY,
    **_INTERNAL,
}
