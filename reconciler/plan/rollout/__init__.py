"""ROLLOUT: changes, budgets, windows -> in which order, and on which day."""
