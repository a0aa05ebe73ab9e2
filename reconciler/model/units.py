"""Durations, sizes and clock times: the text a person writes -> a value, and back.

Each keeps no memory of how it was written: 60min equals 1h, 14d equals 2w, 12mo equals 1y.
Sizes: TB is decimal, TiB binary. `m` alone is refused: minutes or months?
"""

from __future__ import annotations

import re
from datetime import time, timedelta
from functools import lru_cache, total_ordering

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MONTHS = {"mo": 1, "y": 12}
_DURATION = re.compile(r"([0-9]{1,6})(s|min|h|d|w|mo|y)")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(B|kB|KB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB)")
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
}

#: What the JSON Schemas say of each; the same patterns as above. Python's `$` would allow a line break behind it.
DURATION_PATTERN = r"^[0-9]{1,6}(s|min|h|d|w|mo|y)$(?!\n)"
CLOCK_PATTERN = r"^([01][0-9]|2[0-3]):([0-5][0-9])$(?!\n)"
SIZE_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,3})? ?(B|kB|KB|MB|GB|TB|PB|KiB|MiB|GiB|TiB|PiB)$(?!\n)"


@total_ordering
class Duration:
    """A length of time as written: seconds for s..w, calendar months for mo and y. Immutable.

    `delta` is exact for the first sort; a month counts as 365/12 days where a length in seconds is needed
    (comparing, sizing), never when a calendar is walked.
    """

    __slots__ = ("months", "seconds")
    months: int
    seconds: int

    def __init__(self, *, seconds: int = 0, months: int = 0) -> None:
        object.__setattr__(self, "seconds", seconds)
        object.__setattr__(self, "months", months)

    @classmethod
    def parse(cls, text: str) -> Duration:
        """``15min``, ``1h``, ``14d``, ``12w``, ``12mo``, ``5y``. Raises ValueError on anything else."""
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a duration: a whole number and s, min, h, d, w, mo or y")
        count, unit = int(match[1]), match[2]
        if unit in _MONTHS:
            return cls(months=count * _MONTHS[unit])
        return cls(seconds=count * _SECONDS[unit])

    @property
    def delta(self) -> timedelta:
        return timedelta(seconds=self.seconds, days=round(self.months * 365 / 12))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Duration does not change")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and (self.seconds, self.months) == (other.seconds, other.months)

    def __lt__(self, other: Duration) -> bool:
        return self.delta < other.delta

    def __hash__(self) -> int:
        return hash((self.seconds, self.months))

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"

    def __str__(self) -> str:
        if self.months:
            return f"{self.months // 12}y" if self.months % 12 == 0 else f"{self.months}mo"
        return format_duration(timedelta(seconds=self.seconds))


class Size(int):
    """A number of bytes, written with a unit."""

    @classmethod
    def parse(cls, text: str) -> Size:
        """``80 TB``, ``64GiB``, ``1.5 TB``. Raises ValueError on anything else."""
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a size: a number and a unit such as GB (decimal) or GiB (binary)")
        whole, _, fraction = match[1].partition(".")
        unit = _BYTES[match[2]]
        return cls(int(whole) * unit + int(fraction or 0) * unit // 10 ** len(fraction))

    def __str__(self) -> str:
        return format_size(self)


class ClockTime:
    """A quoted clock time of a day, ``"22:00"``. Immutable."""

    __slots__ = ("value",)
    value: time

    def __init__(self, value: time) -> None:
        object.__setattr__(self, "value", value)

    @classmethod
    def parse(cls, text: str) -> ClockTime:
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise ValueError(f'{text!r} is not a clock time: quoted hours and minutes such as "22:00"')
        return cls(time(int(match[1]), int(match[2])))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a ClockTime does not change")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClockTime) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"ClockTime({str(self)!r})"

    def __str__(self) -> str:
        return f"{self.value:%H:%M}"


@lru_cache(maxsize=256)
def parse_rate(text: str) -> float:
    """``3%/d`` -> 0.03, the share of a disk that changes in a day."""
    return float(text.removesuffix("/d").removesuffix("%")) / 100


def parse_share(text: str) -> float:
    """``5%`` -> 0.05."""
    return float(text.removesuffix("%")) / 100


def parse_throughput(text: str) -> int:
    """``400 MB/s`` -> bytes in a second."""
    return int(Size.parse(text.removesuffix("/s")))


def format_duration(delta: timedelta) -> str:
    """The shortest text of the policy language that means `delta`: 14d, 90min, 45s. Whole seconds."""
    seconds = round(delta.total_seconds())
    for unit in ("d", "h", "min"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def format_size(count: int) -> str:
    """Bytes for people, three digits, binary units: 0 B, 1.21 GiB, 640 MiB."""
    count = int(count)  # a Size would show itself by this very function
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(amount) < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{count} B" if unit == "B" else f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"
