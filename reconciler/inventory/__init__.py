"""INVENTORIES: each sees one kind of cluster. `directory` is a cluster on disk, `snapshot` an exported file."""
