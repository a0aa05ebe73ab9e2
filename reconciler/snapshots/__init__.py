"""SNAPSHOTS: what clusters and servers showed -> files that others read offline, whole or not at all."""

from reconciler.snapshots.catalog import ExportedCatalog, catalog_parts, read_catalog, write_catalog
from reconciler.snapshots.form import as_lines
from reconciler.snapshots.inventory import inventory_parts, read_inventory, write_inventory

__all__ = [
    "ExportedCatalog",
    "as_lines",
    "catalog_parts",
    "inventory_parts",
    "read_catalog",
    "read_inventory",
    "write_catalog",
    "write_inventory",
]
