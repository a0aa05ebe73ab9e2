"""Who a durable thing is, and how far it has come: what tells a lost, older or exchanged one from a new one."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Lineage(msgspec.Struct, frozen=True, rename="camel"):
    """The identity of a state, a store or a replica store.

    `id` is 32 random hexadecimal digits, given at the first use and never changed. `generation` grows with every
    committed write; of two copies with one id the one with the smaller generation is the older one.
    `mark` is a random word that a state gives a store each time it writes there, and keeps: a copy of the state that
    does not know the word which the store heard last is an older one, however often it was written to since. A server's
    database marks the catalogs of its replica stores in the same way.
    """

    id: str
    generation: int
    mark: str = ""


class Presence(StrEnum):
    """Whether a store is there. ABSENT is also an empty folder, such as a mount point without its disk; UNNAMED is
    one that version 0.1 wrote, which takes an identity at its first write."""

    ABSENT = "absent"
    UNNAMED = "unnamed"
    PRESENT = "present"


class StoreLineage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the store of a server says of itself. `state` is the lineage of the state that last wrote to it, as the
    store recorded it; `token` the largest fencing token that it has seen, in any of its parts; `path` where it is, or
    would be; `volumes` those of the server that were ever used, by name."""

    presence: Presence
    path: str
    store: Lineage | None = None
    state: Lineage | None = None
    token: int = 0
    volumes: tuple[str, ...] = ()


class KnownStore(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What our own state has on record of a server's store: who it is and how far it had come when we saw it last, its
    path then, when we used it first and saw it last (UTC). `told` is the mark that the store heard last, `telling` one
    that it may have heard: it is written down before the store is told. Both are empty in a state that comes from a
    backup, which believes any. `volumes` are those whose first use is on record."""

    server: str
    store: Lineage
    path: str
    first_used_at: datetime
    last_seen_at: datetime
    told: str = ""
    telling: str = ""
    volumes: tuple[str, ...] = ()
