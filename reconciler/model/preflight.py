"""Prerequisites: what was checked before anything is applied, and how it stands."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from reconciler.errors import Diagnostic, Location, Severity


class CheckState(StrEnum):
    """A check on a fact that is not known is unknown, never passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Check(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One prerequisite of one server, cluster, node or volume (`subject`), and the machines that it is about."""

    code: str
    state: CheckState
    severity: Severity
    subject: str
    message: str
    remedy: str = ""
    machines: tuple[str, ...] = ()
    location: Location | None = None

    @classmethod
    def unknown(cls, finding: Diagnostic) -> Check:
        """A check that could not be made, for what the finding says."""
        return cls(finding.code, CheckState.UNKNOWN, finding.severity, finding.subject, finding.message, finding.remedy)

    @property
    def finding(self) -> Diagnostic:
        """The check as a finding; an unknown one is a warning at most."""
        severity = self.severity
        if self.state is CheckState.UNKNOWN and severity is Severity.ERROR:
            severity = Severity.WARNING
        affected = f" (affects {', '.join(self.machines)})" if self.machines else ""
        return Diagnostic(
            self.code, severity, f"{self.message}{affected}", self.remedy, self.location, subject=self.subject
        )
