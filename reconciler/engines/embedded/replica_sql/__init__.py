"""Numbered SQL files that build the catalog of one replica store."""
