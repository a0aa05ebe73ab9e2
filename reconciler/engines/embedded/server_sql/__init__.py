"""Numbered SQL files that build the database of an embedded server."""
