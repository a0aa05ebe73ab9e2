"""Extents: an open file -> the parts of it that may hold data; the rest reads as zeros."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator


def data_extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length), ascending. By SEEK_DATA and SEEK_HOLE; where a file system has neither, the whole file."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            if error.errno in (errno.EINVAL, errno.ENOTSUP):
                yield offset, size - offset
                return
            raise
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start >= size or end <= start:
            return
        yield start, end - start
        offset = end
