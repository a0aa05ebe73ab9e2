"""COMPLETION: words that are being typed, as a shell has them -> what may be typed next.

The script of each shell (`reconciler completion SHELL`) runs ``reconciler __complete SHELL WORD... =WORD``: the words
up to the cursor, the last one, which may be empty, behind an equals sign, since some shells drop an empty word. Each
line that comes back is a candidate, quoted as that shell needs it where it does not do that by itself; for all but bash
a tab and a few words of help follow. No script evaluates what comes back.
"""

from reconciler.cli.completion.candidates import answer

__all__ = ["answer"]
