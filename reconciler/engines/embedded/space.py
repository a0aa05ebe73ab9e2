"""Space: how full the volumes of the pool are, kept while jobs write."""

from __future__ import annotations

import threading

from reconciler.engines.embedded.server import ServerStore
from reconciler.errors import PermanentError
from reconciler.model import format_size


class Space:
    """Bytes of packs by volume. The files are counted once; after that each sealed pack is added."""

    def __init__(self, server: ServerStore) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._used: dict[str, int] = {}

    def used(self, volume: str) -> int:
        """Bytes of all the packs on the volume."""
        with self._lock:
            if volume not in self._used:
                folder = self._server.path / "volumes" / volume
                self._used[volume] = sum(path.stat().st_size for path in folder.glob("*/packs/??/*.pack"))
            return self._used[volume]

    def check(self, volume: str, wanted: int) -> None:
        """Raises `PermanentError`, RCL4003, if the volume has no room for so many more bytes."""
        capacity = self._server.volumes.get(volume, 0)
        free = capacity - self.used(volume)
        if wanted > free:
            raise PermanentError(
                "RCL4003",
                f"the volume {volume} in {self._server.volume_folder(volume)} is full: "
                f"{format_size(max(1, wanted))} more are needed, {format_size(max(0, free))} of its capacity of "
                f"{format_size(capacity)} are free",
                "Give the volume more capacity in the site, or keep recovery points for a shorter time, "
                "then run the job again. What "
                "is stored is unharmed.",
                subject=volume,
            )

    def take(self, volume: str, size: int) -> None:
        """Counts a sealed pack."""
        self.used(volume)
        with self._lock:
            self._used[volume] += size

    def forget(self) -> None:
        """Counts anew at the next question: another process may have written."""
        with self._lock:
            self._used.clear()
