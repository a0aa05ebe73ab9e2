"""One table of exit codes for every command, and which wins when several apply."""

from __future__ import annotations

from collections.abc import Iterable
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
