"""Extents: an open file -> the parts of it that may hold data; the rest reads as zeros."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from reconciler import system_calls


def data_extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length), ascending. Where the file system does not tell, the whole file."""
    offset = 0
    while offset < size:
        try:
            start = system_calls.next_data(descriptor, offset)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            if error.errno in (errno.EINVAL, errno.ENOTSUP):
                yield offset, size - offset
                return
            raise
        end = min(system_calls.next_hole(descriptor, start), size)
        if start >= size or end <= start:
            return
        yield start, end - start
        offset = end
