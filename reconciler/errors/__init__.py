"""What can go wrong, as values and as exceptions.

User mistakes are `Diagnostic` values with a `Location`, collected and shown all at once.
Exceptions are for a world that failed; each carries the one diagnostic that says what to do::

    ReconcilerError
    ├── UsageError             64  the command line
    ├── PolicyError            65  the policy folder (holds every diagnostic found)
    ├── Unreachable            69  a cluster, a server or a needed program
    ├── ConsentNeeded           5  weakening without a yes
    ├── Refused                 6  a precondition does not hold; nothing was changed
    ├── LockHeld                8  somebody else is at work
    ├── Interrupted           130  Ctrl-C or SIGTERM
    ├── Damaged                 1  a store or a state that does not read back as written
    └── EngineError                the backup side
        ├── TemporaryError      1  try again after `retry_after`
        ├── PermanentError      1  trying again will not help
        ├── StaleFence          8  another process has taken over
        └── OutcomeUnknown      1  observe before doing anything
"""

from reconciler.errors.codes import Explanation, codes
from reconciler.errors.diagnostics import Diagnostic, Location, Severity, sort_key
from reconciler.errors.exits import MEANINGS, ExitCode, worst
from reconciler.errors.tree import (
    ConsentNeeded,
    Damaged,
    EngineError,
    GuardrailDenied,
    Interrupted,
    LockHeld,
    OutcomeUnknown,
    PermanentError,
    PolicyError,
    ReconcilerError,
    Refused,
    StaleFence,
    TemporaryError,
    Unreachable,
    UsageError,
)

__all__ = [
    "codes",
    "ConsentNeeded",
    "Damaged",
    "Diagnostic",
    "EngineError",
    "ExitCode",
    "GuardrailDenied",
    "Explanation",
    "Interrupted",
    "Location",
    "LockHeld",
    "MEANINGS",
    "OutcomeUnknown",
    "PermanentError",
    "PolicyError",
    "ReconcilerError",
    "Refused",
    "Severity",
    "StaleFence",
    "TemporaryError",
    "Unreachable",
    "UsageError",
    "sort_key",
    "worst",
]
