"""DIFFERENCE: desired groups, groups as seen, the ledger -> changes, and parts of a change."""
