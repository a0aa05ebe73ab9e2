"""Benchmarks: side by side with peers, never timed tests."""
