"""THE WALLS: what the pure core asks of the world. Small protocols; adapters are chosen by `wiring` alone."""

from reconciler.protocols.backup import (
    ChecksStore,
    Engine,
    Fence,
    ReadsGroups,
    Recovers,
    RecoveryPreview,
    StoreCheck,
    diagnostics_of,
)
from reconciler.protocols.memory import (
    Evidence,
    JobStore,
    Journal,
    JournalStep,
    Lease,
    Ledger,
    Locks,
    Marks,
    Memory,
    Run,
)
from reconciler.protocols.source import Clock, DiskReader, Disks, FileFacts, Inventory, StagedFile, Target

__all__ = [
    "ChecksStore",
    "Clock",
    "DiskReader",
    "Disks",
    "Engine",
    "Evidence",
    "Fence",
    "FileFacts",
    "Inventory",
    "JobStore",
    "Journal",
    "JournalStep",
    "Lease",
    "Ledger",
    "Locks",
    "Marks",
    "Memory",
    "ReadsGroups",
    "Recovers",
    "RecoveryPreview",
    "Run",
    "StagedFile",
    "StoreCheck",
    "Target",
    "diagnostics_of",
]
