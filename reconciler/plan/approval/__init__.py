"""APPROVAL: changes -> the hashes that an approval names, and what guardrails say of them."""
