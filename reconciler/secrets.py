"""Secrets: text that may hold credentials -> the same text without them."""

from __future__ import annotations

import re

#: A URL's scheme, and everything up to the last @ before its path: user, password or token.
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s?#]*@")


#: What a setting that holds a secret is usually called, whatever stands between its words.
_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|(api|access|private|account|storage|shared|signing|encryption)_?key|credential"
    r"|authorization|connection_?string|(^|_)(pass|pwd|pin|sas)$"
)


def is_secret(name: str, value: object) -> bool:
    """Whether a setting of this name usually holds a secret: a text, or a number where the name says no more than that
    (`pin`, and not `tokenLifetime`)."""
    found = _SECRET_NAME.search(name.lower().replace("-", "_"))
    return found is not None and (isinstance(value, str) or found.end() == len(name))


def redacted(text: str) -> str:
    """The text with ``***`` for who and by which password stands in its URLs."""
    return _USERINFO.sub(r"\1***@", text)


def holds_credentials(url: str) -> bool:
    """Whether a user, a password or a token stands in the URL."""
    return redacted(url) != url
