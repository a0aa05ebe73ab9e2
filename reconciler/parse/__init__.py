"""TEXT -> PolicySet. The only room that reads policy files: load (places), validate (mistakes), decode (types)."""

from reconciler.parse.folder_tree import FolderTree
from reconciler.parse.policy_files import PolicyFile, PolicyFiles, find_policy_files, read_one, read_policy_files
from reconciler.parse.read import Before, Reading, read_policies, read_texts, read_tree

__all__ = [
    "Before",
    "FolderTree",
    "PolicyFile",
    "PolicyFiles",
    "Reading",
    "find_policy_files",
    "read_one",
    "read_policies",
    "read_policy_files",
    "read_texts",
    "read_tree",
]
