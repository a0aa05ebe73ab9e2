"""Git, asked through its own program: a revision's files, and who wrote what. Runs nothing of the repository's.

Every call goes through `call.git`: settings of the repository that name programs, servers or other places are
overridden, the caller's are not read, and only commands are used that look at objects, never at the work tree, whose
attributes can name filters (ADR 12). The one exception is `fetch`, which leaves the repository's settings out
altogether and moves no ref of it; `forward` has a tracking ref follow.
"""

from reconciler.gitrepo.branches import Upstream, branch_name, branch_ref, check_forward, forward, tip, upstream
from reconciler.gitrepo.call import top_of
from reconciler.gitrepo.checkout import changed_files, identity
from reconciler.gitrepo.history import Commit, Gone, authors, brought, commits, gone, is_ancestor, merge_bases
from reconciler.gitrepo.objects import (
    FOLDER,
    LINK,
    SUBMODULE,
    Entry,
    entries,
    head,
    is_repository,
    is_revision,
    is_shallow,
    listed,
    read_files,
    read_objects,
    resolve,
)
from reconciler.gitrepo.remote import fetch
from reconciler.gitrepo.tree import CommitTree

__all__ = [
    "FOLDER",
    "LINK",
    "SUBMODULE",
    "Commit",
    "CommitTree",
    "Entry",
    "Gone",
    "Upstream",
    "authors",
    "branch_name",
    "branch_ref",
    "brought",
    "changed_files",
    "check_forward",
    "commits",
    "fetch",
    "forward",
    "entries",
    "gone",
    "head",
    "identity",
    "is_ancestor",
    "is_repository",
    "is_revision",
    "is_shallow",
    "listed",
    "merge_bases",
    "read_files",
    "read_objects",
    "resolve",
    "tip",
    "top_of",
    "upstream",
]
