"""Tests: one folder for each room, one suite for every engine."""
