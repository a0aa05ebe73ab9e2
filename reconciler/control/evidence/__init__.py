"""EVIDENCE: what was done -> records, their anchor, and the answers to an auditor."""
