"""Numbered SQL files that build the state database."""
