"""Proofs that take long in full: `make test` takes a sample of each, `make prove-NAME` all of it."""
