"""The embedded engine: blocks in packs, catalogs, jobs. docs/reference/store-format.md tells the format."""

from reconciler.engines.embedded.engine import EmbeddedEngine, open_engine

__all__ = ["EmbeddedEngine", "open_engine"]
