"""Text as strangers write it, and what no output may hold."""

from __future__ import annotations

import re

#: Names of virtual machines, files, groups and people that once did something where they were shown.
NAMES = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "::error file=x,line=1::pwned",
    "a%0A::error::x",
    "x]]>y<![CDATA[",
    "a|b|c",
    "`code` **b** [l](http://evil) @team",
    "\x1b[31mred\x1b]0;title\x07\x1b[2J",
    "=cmd|'/c calc'!A0",
    "##vso[task.setvariable variable=x]y",
    "##[error]y ##teamcity[x]",
    "new\nline\n::warning::x",
    "rtl\u202egnp.exe\u2066",
    "u2028\u2028::error::z\u2029",
    "[/bold] [link=http://evil]x[/link]",
    "db [/x]",
    "\r::add-mask::z",
    "&lt;b&gt; &amp;",
    "a\u0085b\u009b31mc1",
    "tag\U000e0041s",
    "\ufeffbom\u200b\u00ad",
)

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\u200b\ufeff]")
_OURS = re.compile("\x1b\\[[0-9;]{1,5}m")


def harms(text: str, *, commands: bool = False, html: bool = False) -> list[str]:
    """What a terminal, a person or a CI service would be told by a text that was printed; empty for a harmless one.
    With `commands` the text is meant to be commands: each of its lines has to be exactly one."""
    found = []
    bare = _OURS.sub("", text)
    if "\x1b" in bare:
        found.append("an escape sequence")
    found += [f"the control {each!r}" for each in _CONTROLS.findall(bare)]
    if any("\ud800" <= each <= "\udfff" for each in text):
        found.append("half of a pair")
    lines = re.split("[\r\n]", text)
    for line in lines:
        github = re.fullmatch(r"::(error|warning|notice) [^:]*::[^\r\n]*", line)
        azure = re.fullmatch(r"##vso\[task\.logissue [^\]]*\][^\r\n]*", line)
        if commands:
            if line and not github and not azure:
                found.append(f"a command that is none of ours: {line[:60]!r}")
            continue
        if line.strip().startswith("::"):
            found.append(f"a command to GitHub: {line[:60]!r}")
        if re.search(r"##[A-Za-z]*\[", line):
            found.append(f"a command to a CI service: {line[:60]!r}")
    if html and re.search(r"<script>alert|<img src=x|javascript:", text):
        found.append("markup of a stranger")
    return found
