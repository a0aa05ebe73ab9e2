"""Names that Windows keeps for itself: a name -> why no file there may have it.

https://learn.microsoft.com/windows/win32/fileio/naming-a-file. Windows would not refuse most of them: it would write to
a device, into a hidden stream of another file, or under another name.
"""

from __future__ import annotations

_DEVICES = frozenset(
    (
        *("con", "prn", "aux", "nul", "conin$", "conout$", "clock$"),
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"),
    )
)
_LETTERS = frozenset('<>"|?*')


def allowed(name: str) -> str:
    """A name that Windows takes, as near as can be to one that it does not. Two names may become one."""
    plain = "".join("_" if each in _LETTERS or each == ":" or ord(each) < 32 else each for each in name)
    bare = plain.rstrip(". ")
    plain = bare + "_" * (len(plain) - len(bare))
    return f"_{plain}" if problem(plain) else plain


def problem(name: str) -> str:
    """Why the name, without folders, is none for a file on Windows; "" where it is one."""
    if ":" in name:
        return "a colon, which leads into a stream hidden in another file"
    letter = next((each for each in name if each in _LETTERS or ord(each) < 32), "")
    if letter:
        return f"the letter {letter!r}"
    if name.endswith((".", " ")):
        return "a dot or a blank at its end, which Windows leaves out"
    if name.partition(".")[0].rstrip(" ").lower() in _DEVICES:
        return "the name of a device"
    return ""
