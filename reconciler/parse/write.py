"""Writing: plain values -> YAML text as a person would write it."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Quotes what some YAML reader would take for something else than a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    node = dumper.represent_str(text)
    risky = any(text[:1] == digit for digit in "0123456789") and ":" in text
    if risky or text.lower() in ("y", "n", "on", "off", "yes", "no"):
        node.style = '"'
    return node


_Dumper.add_representer(str, _text)


def yaml_text(plain: Any) -> str:
    """One document as YAML: mappings in their order, short lists in one line."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
