"""The one prompt: a question -> how the person confirmed it, or an error that says that nothing was done."""

from __future__ import annotations

from reconciler.cli.terminal import ask, is_interactive
from reconciler.errors import ConsentNeeded
from reconciler.model.audit import Confirmation

_AGAIN = "Run it again when you want it."
_NOBODY = "Give --yes where no terminal is there to ask at."


def confirm(
    question: str,
    code: str,
    declined: str,
    *,
    yes: bool = False,
    again: str = _AGAIN,
    nobody: str = _NOBODY,
    nobody_there: str = "confirmation required, but there is no terminal",
) -> Confirmation:
    """How somebody confirmed. `declined` says what was not done. Raises `ConsentNeeded` with the code where the person
    does not answer `yes`, with the help `again`, or where there is no terminal, with the help `nobody`."""
    if yes:
        return Confirmation.OPTION
    if not is_interactive():
        raise ConsentNeeded(code, nobody_there, nobody)
    if not ask(question):
        raise ConsentNeeded(code, declined, again)
    return Confirmation.TERMINAL
