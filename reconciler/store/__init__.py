"""OUR MEMORY: journal, ledger, locks, jobs, marks and evidence of one site: one SQLite file, and a folder beside it."""

from reconciler.store.anchor import SIGNATURE, SUMS, read_sums
from reconciler.store.chain import check_chain
from reconciler.store.copying import copy_database, keep_raw, put_database, replace_database
from reconciler.store.evidence import EvidenceFolder
from reconciler.store.export import export
from reconciler.store.holder import ProcessIdentity, holder_identity, lives
from reconciler.store.locks import lock_held
from reconciler.store.memory import Opening, SqliteMemory, format_of, missing_state, open_memory
from reconciler.store.merge import Merged, count_and_head, merge_evidence

__all__ = [
    "EvidenceFolder",
    "Merged",
    "Opening",
    "ProcessIdentity",
    "SIGNATURE",
    "SUMS",
    "SqliteMemory",
    "check_chain",
    "copy_database",
    "count_and_head",
    "export",
    "format_of",
    "holder_identity",
    "keep_raw",
    "lives",
    "lock_held",
    "merge_evidence",
    "missing_state",
    "open_memory",
    "put_database",
    "read_sums",
    "replace_database",
]
