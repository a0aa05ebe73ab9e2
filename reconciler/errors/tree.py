"""The exceptions; see the package's docstring for the tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar

from reconciler.errors.diagnostics import Diagnostic, Severity
from reconciler.errors.exits import ExitCode


class ReconcilerError(Exception):
    """A world that failed. `diagnostic` says what, why and what to do next."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(self, code: str, message: str, remedy: str, *, subject: str = "") -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(code, Severity.ERROR, message, remedy, subject=subject)

    def __str__(self) -> str:
        return str(self.diagnostic)


class UsageError(ReconcilerError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.USAGE


class PolicyError(ReconcilerError):
    """The policy folder is missing, unreadable, empty or wrong; `diagnostics` holds every error and warning, `texts`
    what was read of the files that they are about, by name, where it is known."""

    exit_code = ExitCode.INVALID_POLICY

    def __init__(self, diagnostics: Iterable[Diagnostic], texts: Mapping[str, bytes] | None = None) -> None:
        self.diagnostics = tuple(diagnostics)
        self.texts = texts or {}
        first = self.diagnostics[0]
        super().__init__(first.code, first.message, first.remedy, subject=first.subject)
        self.diagnostic = first


class GuardrailDenied(PolicyError):
    """A rule of the policies forbids it."""

    exit_code = ExitCode.GUARDRAIL_DENIED


class Unreachable(ReconcilerError):
    """A cluster, a backup server or a needed program does not answer."""

    exit_code = ExitCode.UNREACHABLE


class ConsentNeeded(ReconcilerError):
    """Something would be lost, and nobody approved or confirmed it."""

    exit_code = ExitCode.CONSENT_NEEDED


class Refused(ReconcilerError):
    """A precondition does not hold. Nothing was changed."""

    exit_code = ExitCode.PRECONDITION_FAILED


class LockHeld(ReconcilerError):
    """Another process is at work on the site."""

    exit_code = ExitCode.LOCK_HELD


class Interrupted(ReconcilerError):
    """A person or the system asked to stop; what was begun is in the journal."""

    exit_code = ExitCode.INTERRUPTED


class Damaged(ReconcilerError):
    """A store or a state does not read back as it was written."""


class EngineError(ReconcilerError):
    """The backup side failed."""


class TemporaryError(EngineError):
    """Worth trying again after `retry_after`."""

    def __init__(
        self, code: str, message: str, remedy: str, *, subject: str = "", retry_after: timedelta | None = None
    ) -> None:
        super().__init__(code, message, remedy, subject=subject)
        self.retry_after = retry_after


class PermanentError(EngineError):
    """Trying again will not help until something else changes."""


class StaleFence(EngineError):
    """The fencing token is older than one the engine has seen: another process has taken over."""

    exit_code = ExitCode.LOCK_HELD


class OutcomeUnknown(EngineError):
    """The change may or may not have happened: observe before doing anything."""
