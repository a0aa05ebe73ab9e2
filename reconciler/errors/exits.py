"""One table of exit codes for every command, and which wins when several apply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means. `docs/reference/exit-codes.md` is this table."""

    SUCCESS = 0
    FAILURE = 1
    CHANGES_PENDING = 2
    EXTERNAL_DRIFT = 3
    GUARDRAIL_DENIED = 4
    CONSENT_NEEDED = 5
    PRECONDITION_FAILED = 6
    PARTIAL_APPLY = 7
    LOCK_HELD = 8
    BELOW_THRESHOLD = 9
    USAGE = 64
    INVALID_POLICY = 65
    UNREACHABLE = 69
    AUTHENTICATION = 77
    INTERRUPTED = 130


#: A few words for each, which `--help` shows.
MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.SUCCESS: "success",
    ExitCode.FAILURE: "a job, a store, a server or a report failed; or an internal error",
    ExitCode.CHANGES_PENDING: "changes are pending",
    ExitCode.EXTERNAL_DRIFT: "a server was changed outside reconciler",
    ExitCode.GUARDRAIL_DENIED: "a guardrail denies it",
    ExitCode.CONSENT_NEEDED: "an approval or a confirmation is needed",
    ExitCode.PRECONDITION_FAILED: "a precondition does not hold, or the plan is stale",
    ExitCode.PARTIAL_APPLY: "done in part; it can be resumed",
    ExitCode.LOCK_HELD: "another process is at work",
    ExitCode.BELOW_THRESHOLD: "below a threshold",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.INVALID_POLICY: "the policies are missing or invalid",
    ExitCode.UNREACHABLE: "a cluster, a server or a needed program does not answer",
    ExitCode.AUTHENTICATION: "a server refuses the credentials",
    ExitCode.INTERRUPTED: "interrupted",
}

_ORDER = (
    ExitCode.INTERRUPTED,
    ExitCode.FAILURE,
    ExitCode.USAGE,
    ExitCode.UNREACHABLE,
    ExitCode.AUTHENTICATION,
    ExitCode.INVALID_POLICY,
    ExitCode.LOCK_HELD,
    ExitCode.PARTIAL_APPLY,
    ExitCode.PRECONDITION_FAILED,
    ExitCode.GUARDRAIL_DENIED,
    ExitCode.CONSENT_NEEDED,
    ExitCode.EXTERNAL_DRIFT,
    ExitCode.BELOW_THRESHOLD,
    ExitCode.CHANGES_PENDING,
    ExitCode.SUCCESS,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code to report when several apply; success when none does."""
    return min(codes, key=_ORDER.index, default=ExitCode.SUCCESS)
