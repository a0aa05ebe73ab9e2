"""Text: a file's bytes -> text whose lines are those that an editor shows, and every letter that is refused.

A letter is refused where what is read could be other than what is seen: it ends a line for the parser alone, turns the
order of letters around, or is not shown at all. It is replaced, so that reading goes on and finds the other mistakes.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator

from reconciler.errors import Diagnostic, Location, Severity

LARGEST_FILE = 4 * 1024 * 1024
_MOST_TOLD = 20

#: Ends of lines for some readers; letters without a shape; those that turn the direction (the set of "Trojan Source",
#: CVE-2021-42574); noncharacters. Joiners and variation selectors are fine after what they join: emoji, and the
#: scripts from Arabic to Sinhala.
_JOINED = "\u0600-\u0dff\u2190-\u2bff\u3030\u303d\ufe0f\u200d\U0001f000-\U0001faff"
_LINES = "\x0b\x0c\x85\u2028\u2029"
_TURNED = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164\ufeff\uffa0"
    "\ufff0-\ufffb"
)
_FAR = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
_REFUSED = re.compile(
    rf"\r(?!\n)|[\x00-\x08\x0e-\x1f\x7f-\x9f{_LINES}{_TURNED}{_UNSEEN}{_FAR}\ufffe\uffff]"
    rf"|(?<![{_JOINED}])[\u200c\u200d\ufe00-\ufe0f]"
)
#: Blanks that are none to YAML. Comments may have them: French has one before each colon.
_BLANK = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_IN_COMMENT = re.compile(r"(?:^|[ \t])#", re.MULTILINE)
_ASCII_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")

_WIDE = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def plain_text(data: bytes) -> str | None:
    """The text where nothing at all is to be said of it; else None, and `readable` says what."""
    if len(data) > LARGEST_FILE:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if text.isascii():
        return None if _ASCII_REFUSED.search(text) else text
    return None if _REFUSED.search(text) or _BLANK.search(text) else text


def readable(file: str, data: bytes) -> tuple[str, list[Diagnostic]]:
    """The text, refused letters replaced by U+FFFD one for one, and what was refused, at its place."""
    wide = next((name for mark, name in _WIDE if data.startswith(mark)), "")
    if wide:
        return "", [_error(f"the file is saved as {wide}", "Save it as UTF-8.", Location(file))]
    found = []
    if len(data) > LARGEST_FILE:
        what = f"the file is larger than {LARGEST_FILE // 1024**2} MiB"
        return "", [_error(what, "Split it into several files; policies are small.", Location(file))]
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        where = _place(file, before, len(before))
        found.append(_error(f"the file is not UTF-8 text: byte 0x{data[error.start]:02X}", "Save it as UTF-8.", where))
        text = data.decode("utf-8", "replace")
    letters = list(_letters(text))
    remedy = "Remove it, or write it as an escape."
    found += [_error(_said(text[at]), remedy, _place(file, text, at)) for at in letters[:_MOST_TOLD]]
    if letters:
        parts = list(text)
        for at in letters:
            parts[at] = "\ufffd"
        text = "".join(parts)
    return text, found


def _letters(text: str) -> Iterator[int]:
    """Where a letter stands that is refused."""
    for match in _REFUSED.finditer(text):
        yield match.start()
    ends = comment = -1
    for match in _BLANK.finditer(text):
        at = match.start()
        if at > ends:
            start, ends = text.rfind("\n", 0, at) + 1, text.find("\n", at) % (len(text) + 1)
            found = _IN_COMMENT.search(text, start, ends)
            comment = found.start() if found else ends
        if at < comment:
            yield at


def _said(letter: str) -> str:
    called = f"U+{ord(letter):04X}"
    if letter.isascii() or unicodedata.category(letter) == "Cc":
        kind = (
            "ends a line for some readers and not for others" if letter in f"\r{_LINES}" else "is a control character"
        )
    elif re.match(f"[{_LINES}]", letter):
        kind = "ends a line for the parser and not for the eye"
    elif re.match(f"[{_TURNED}]", letter):
        kind = "turns the order in which letters are shown"
    elif _BLANK.match(letter):
        kind = "looks like a space and is not one"
    else:
        kind = "is not seen"
    name = unicodedata.name(letter, "").lower()
    return f"the letter {called}{f' ({name})' if name else ''} {kind}"


def _place(file: str, text: str, at: int) -> Location:
    return Location(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _error(what: str, remedy: str, where: Location) -> Diagnostic:
    return Diagnostic("RCL1004", Severity.ERROR, what, remedy, where)
