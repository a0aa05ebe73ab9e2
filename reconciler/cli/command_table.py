"""The table of commands: each command's panel, examples and exit codes, as `--help` and the manual show them.

The one place for them. A command that is not here does not pass the tests; nor does one here that is none, an example
that does not parse, or a command that ends with a code that its line does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from reconciler.errors import ExitCode

_CHANGES = ExitCode.CHANGES_PENDING
_DENIED = ExitCode.GUARDRAIL_DENIED
_APPROVAL = ExitCode.CONSENT_NEEDED
_PRECONDITION = ExitCode.PRECONDITION_FAILED
_PARTIAL = ExitCode.PARTIAL_APPLY
_HELD = ExitCode.LOCK_HELD
_BELOW = ExitCode.BELOW_THRESHOLD
_POLICY = ExitCode.INVALID_POLICY
_AWAY = ExitCode.UNREACHABLE

#: What any command can end with.
_ALWAYS = (ExitCode.SUCCESS, ExitCode.FAILURE, ExitCode.USAGE, ExitCode.INTERRUPTED)


class Panel(StrEnum):
    """Who uses a command, or when; the help shows them in this order."""

    AUTHOR = "Author"
    REVIEW = "Review"
    OPERATE = "Operate"
    RECOVER = "Recover"
    AUDIT = "Audit"
    MAINTAIN = "Maintain"


class CommandRow(NamedTuple):
    """A command in the table: its panel, lines that can be typed, and the codes that it ends with besides those that
    any command can end with; whether `-o json` writes events, since it is an action, or one report."""

    panel: Panel
    examples: tuple[str, ...]
    particular: tuple[ExitCode, ...] = ()
    events: bool = False

    @property
    def codes(self) -> tuple[ExitCode, ...]:
        return tuple(sorted({*_ALWAYS, *self.particular}))


_SITE = (_PRECONDITION, _POLICY, _AWAY)

#: In the order in which the help shows them.
TABLE: Mapping[str, CommandRow] = {
    "demo": CommandRow(Panel.AUTHOR, ("reconciler demo /tmp/demo",), (_PRECONDITION,)),
    "init": CommandRow(
        Panel.AUTHOR,
        ("reconciler init backup", "reconciler init backup --time-zone Europe/Berlin --no-prune"),
        (_PRECONDITION, _POLICY),
        events=True,
    ),
    "import": CommandRow(
        Panel.AUTHOR,
        ("reconciler import --server mabs-01", "reconciler import --out policies/taken-over"),
        _SITE,
        events=True,
    ),
    "validate": CommandRow(
        Panel.AUTHOR, ("reconciler validate", "reconciler validate -o github"), (_DENIED, _PRECONDITION, _POLICY)
    ),
    "fmt": CommandRow(
        Panel.AUTHOR,
        ("reconciler fmt", "reconciler fmt --check policies/gold.yaml"),
        (_CHANGES, _PRECONDITION, _POLICY),
        events=True,
    ),
    "members": CommandRow(Panel.AUTHOR, ("reconciler members gold-vms",), _SITE),
    "preflight": CommandRow(Panel.AUTHOR, ("reconciler preflight", "reconciler preflight --all -o json"), _SITE),
    "policy test": CommandRow(
        Panel.AUTHOR,
        ("reconciler policy test", "reconciler policy test tests/policies/gold.yaml"),
        (_PRECONDITION, _POLICY),
    ),
    "schema": CommandRow(Panel.AUTHOR, ("reconciler schema", "reconciler schema --kind ProtectionGroup")),
    "explain": CommandRow(Panel.AUTHOR, ("reconciler explain RCL1016",)),
    "diff": CommandRow(
        Panel.REVIEW,
        ("reconciler diff main", "reconciler diff main HEAD --inventory inventory.json -o markdown"),
        (_CHANGES, _DENIED, _APPROVAL, _PRECONDITION, _POLICY, _AWAY),
    ),
    "plan": CommandRow(
        Panel.REVIEW,
        ("reconciler plan", "reconciler plan --out plan.json --report markdown=plan.md"),
        (_CHANGES, _DENIED, _APPROVAL, *_SITE),
    ),
    "show": CommandRow(Panel.REVIEW, ("reconciler show plan.json",), (_PRECONDITION,)),
    "approve": CommandRow(
        Panel.REVIEW,
        ("reconciler approve main --by ada@corp.example --reason ok --until 2027-01-31",),
        (_DENIED, _APPROVAL, *_SITE),
        events=True,
    ),
    "inventory snapshot": CommandRow(Panel.REVIEW, ("reconciler inventory snapshot --out inventory.json",), _SITE),
    "catalog snapshot": CommandRow(Panel.REVIEW, ("reconciler catalog snapshot --out catalog.jsonl",), _SITE),
    "apply": CommandRow(
        Panel.OPERATE,
        ("reconciler apply", "reconciler apply plan.json --yes"),
        (_DENIED, _APPROVAL, _PARTIAL, _HELD, *_SITE),
        events=True,
    ),
    "resume": CommandRow(
        Panel.OPERATE, ("reconciler resume",), (_DENIED, _APPROVAL, _PARTIAL, _HELD, *_SITE), events=True
    ),
    "pause": CommandRow(
        Panel.AUTHOR,
        ('reconciler pause gold-vms --until 2026-12-04 --reason "the storage is moved"',),
        (_PRECONDITION, _POLICY),
        events=True,
    ),
    "unpause": CommandRow(Panel.AUTHOR, ("reconciler unpause gold-vms",), (_PRECONDITION, _POLICY), events=True),
    "stop": CommandRow(
        Panel.AUTHOR,
        ("reconciler stop gold-vms", "reconciler stop gold-vms --existing-points keepForever"),
        (_PRECONDITION, _POLICY),
        events=True,
    ),
    "run": CommandRow(
        Panel.OPERATE,
        ("reconciler run", "reconciler run --pull --log-format json", "reconciler run --until-idle"),
        (_DENIED, _APPROVAL, _PARTIAL, _HELD, *_SITE),
    ),
    "status": CommandRow(
        Panel.OPERATE, ("reconciler status", "reconciler status --check --heartbeat 30min"), (_BELOW, *_SITE)
    ),
    "drift": CommandRow(
        Panel.OPERATE,
        ("reconciler drift", "reconciler drift --class external -o json"),
        (ExitCode.EXTERNAL_DRIFT, *_SITE),
    ),
    "jobs": CommandRow(Panel.OPERATE, ("reconciler jobs", "reconciler jobs web-01 -n 5"), _SITE),
    "check": CommandRow(
        Panel.OPERATE, ("reconciler check", "reconciler check web-01 sql-01"), (_HELD, *_SITE), events=True
    ),
    "cancel": CommandRow(Panel.OPERATE, ("reconciler cancel web-01",), (_HELD, *_SITE), events=True),
    "backup": CommandRow(
        Panel.OPERATE,
        ('reconciler backup web-01 --reason "before the patch"', "reconciler backup gold-vms"),
        (_HELD, *_SITE),
        events=True,
    ),
    "points": CommandRow(Panel.RECOVER, ("reconciler points web-01",), _SITE),
    "recover": CommandRow(
        Panel.RECOVER,
        (
            "reconciler recover web-01",
            "reconciler recover web-01 --at 2026-11-24T10:00 --to /mnt/recovered",
            "reconciler recover web-01 --continue",
        ),
        (_APPROVAL, _PARTIAL, _HELD, *_SITE),
        events=True,
    ),
    "coverage": CommandRow(
        Panel.AUDIT, ("reconciler coverage", "reconciler coverage --all --min-protected 95%"), (_BELOW, *_SITE)
    ),
    "evidence verify": CommandRow(
        Panel.AUDIT,
        (
            "reconciler evidence verify",
            "reconciler evidence verify --folder exported --anchor SHA256SUMS",
        ),
        _SITE,
    ),
    "evidence seal": CommandRow(
        Panel.AUDIT, ("reconciler evidence seal --key audit-key --out /mnt/anchors",), (_HELD, *_SITE), events=True
    ),
    "evidence export": CommandRow(
        Panel.AUDIT, ("reconciler evidence export evidence.tar",), (_HELD, *_SITE), events=True
    ),
    "evidence query": CommandRow(Panel.AUDIT, ("reconciler evidence query web-01 --at 2026-10-31",), _SITE),
    "evidence declare-lost": CommandRow(
        Panel.AUDIT,
        ('reconciler evidence declare-lost --reason "its disk is gone"',),
        (_APPROVAL, _HELD, *_SITE),
        events=True,
    ),
    "store check": CommandRow(
        Panel.MAINTAIN, ("reconciler store check", "reconciler store check --read-data=1/7"), _SITE
    ),
    "store rebuild": CommandRow(
        Panel.MAINTAIN,
        ("reconciler store rebuild mabs-01", "reconciler store rebuild mabs-01 web-01"),
        (_HELD, *_SITE),
        events=True,
    ),
    "store declare-lost": CommandRow(
        Panel.MAINTAIN,
        ('reconciler store declare-lost mabs-01 --volume vol-a --reason "burnt down"',),
        (_APPROVAL, _HELD, *_SITE),
        events=True,
    ),
    "state backup": CommandRow(Panel.MAINTAIN, ("reconciler state backup state.tar",), _SITE, events=True),
    "state restore": CommandRow(
        Panel.MAINTAIN, ("reconciler state restore state.tar",), (_APPROVAL, _HELD, *_SITE), events=True
    ),
    "lock show": CommandRow(Panel.MAINTAIN, ("reconciler lock show",), _SITE),
    "completion": CommandRow(Panel.MAINTAIN, ("reconciler completion bash", "reconciler completion powershell")),
    "lock release": CommandRow(Panel.MAINTAIN, ("reconciler lock release",), (_APPROVAL, _HELD, *_SITE), events=True),
}
