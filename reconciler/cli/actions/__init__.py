"""ACTIONS: what each command does."""
