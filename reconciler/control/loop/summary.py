"""Summary: ticks and jobs -> what a run came to, by which its exit code is chosen."""

from __future__ import annotations

import msgspec

from reconciler.control.loop.tick import Tick
from reconciler.control.state.known_stores import NOT_THERE
from reconciler.errors import ExitCode, PolicyError, Refused, Severity
from reconciler.model import JobRecord, JobState
from reconciler.plan.approval.guardrails import denied


class Summary(msgspec.Struct, rename="camel"):
    """What a run came to: how many ticks, steps and jobs; what failed; whether something waits for an approval; the
    codes of what kept the commits of a branch from being fetched, or taken."""

    ticks: int = 0
    steps_done: int = 0
    steps_failed: int = 0
    jobs_succeeded: int = 0
    jobs_failed: list[JobRecord] = []
    cancelled: int = 0
    waits_for_consent: bool = False
    invalid_policies: bool = False
    denied: bool = False
    unreachable: bool = False
    troubles: tuple[ExitCode, ...] = ()
    not_fetched: tuple[str, ...] = ()
    last: Tick | None = None

    def count(self, done: Tick, *, current: bool = True) -> None:
        """Adds a tick; without `current` it went on with the last policies that were right."""
        self.ticks += 1
        self.last = done
        if done.applied is not None:
            self.steps_done += len(done.applied.done)
            self.steps_failed += len(done.applied.failed)
        self.waits_for_consent = done.waits_for_consent
        wrong = [
            finding
            for finding in done.findings
            if finding.severity is Severity.ERROR and finding.code.startswith(("RCL1", "RCL3"))
        ]
        forbidden = denied(wrong)
        self.denied = bool(forbidden)
        self.invalid_policies = not current or len(forbidden) < len(wrong)
        seen = done.observation.catalogs.values()
        missing = any(finding.code == NOT_THERE for catalog in seen for finding in catalog.findings)
        self.unreachable = missing or not done.observation.whole
        by_findings = (PolicyError, Refused)
        self.troubles = tuple(error.exit_code for error in done.troubles if not isinstance(error, by_findings))

    def count_job(self, record: JobRecord) -> None:
        if record.status.state is JobState.SUCCEEDED:
            self.jobs_succeeded += 1
        elif record.status.state is JobState.FAILED:
            self.jobs_failed.append(record)
        elif record.status.state.ended:
            self.cancelled += 1
