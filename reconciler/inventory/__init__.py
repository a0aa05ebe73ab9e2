"""INVENTORIES: each sees one kind of cluster. `directory` is a cluster on disk."""
