"""OUR MEMORY: journal, ledger, locks, jobs, marks and evidence of one site: one SQLite file, and a folder beside it."""

from reconciler.state.anchor import SIGNATURE, SUMS, read_sums
from reconciler.state.chain import check_chain
from reconciler.state.copying import copy_database, keep_raw, put_database, replace_database
from reconciler.state.evidence import EvidenceFolder
from reconciler.state.export import export
from reconciler.state.holder import ProcessIdentity, holder_identity, lives
from reconciler.state.locks import lock_held
from reconciler.state.memory import Opening, SqliteMemory, format_of, missing_state, open_memory
from reconciler.state.merge import Merged, count_and_head, merge_evidence

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
