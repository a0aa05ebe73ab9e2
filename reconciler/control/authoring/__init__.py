"""AUTHORING: first policies, groups that were there, and tests of guardrails."""
