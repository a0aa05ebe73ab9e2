"""OUR MEMORY: journal, ledger, locks, jobs, marks and evidence of one site: one SQLite file, and a folder beside it."""

from reconciler.store.anchor import SIGNATURE, SUMS, read_sums
from reconciler.store.chain import check_chain
from reconciler.store.evidence import EvidenceFolder
from reconciler.store.export import export
from reconciler.store.holder import holder_identity
from reconciler.store.memory import SqliteMemory, open_memory

__all__ = [
    "EvidenceFolder",
    "SIGNATURE",
    "SUMS",
    "SqliteMemory",
    "check_chain",
    "export",
    "holder_identity",
    "open_memory",
    "read_sums",
]
