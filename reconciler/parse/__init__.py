"""TEXT -> PolicySet. The only room that reads policy files: load (places), validate (mistakes), decode (types)."""

from reconciler.parse.read import Reading, read_policies, read_texts

__all__ = ["Reading", "read_policies", "read_texts"]
