"""The command for shells: its argument and help."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.completion.scripts import Shell
from reconciler.cli.options import app


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
) -> None:
    """Print the script that completes commands, options and names in a shell.

    bash: source <(reconciler completion bash) in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit; fish:
    reconciler completion fish | source in config.fish; PowerShell: reconciler completion powershell | Out-String |
    Invoke-Expression in $PROFILE.
    """
    from reconciler.cli.completion.scripts import script
    from reconciler.cli.terminal import out

    out(script(shell))
