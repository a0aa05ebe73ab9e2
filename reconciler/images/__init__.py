"""DISK IMAGES: the container files of virtual disks: what they are, whether they are whole, where they hold data."""

from reconciler.images.extents import data_extents
from reconciler.images.inspect import ImageFacts, inspect

__all__ = ["ImageFacts", "data_extents", "inspect"]
