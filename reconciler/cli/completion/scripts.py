"""Scripts: a shell -> what it has to run once so that `reconciler` completes. They run nothing that comes back."""

from __future__ import annotations

from enum import StrEnum


class Shell(StrEnum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"
    powershell = "powershell"


_BASH = r"""# reconciler completes in bash: source <(reconciler completion bash)
_reconciler() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(reconciler __complete bash "${COMP_WORDS[@]:1:COMP_CWORD-1}" "=${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)
}
complete -o bashdefault -o default -F _reconciler reconciler
"""

_ZSH = r"""#compdef reconciler
# reconciler completes in zsh: source <(reconciler completion zsh), or keep this as _reconciler in a folder of fpath.
_reconciler() {
    local value help
    local -a values shown
    while IFS=$'\t' read -r value help; do
        values+=("$value")
        shown+=("$value${help:+  -- $help}")
    done < <(reconciler __complete zsh "${(@Q)words[2,CURRENT-1]}" "=${(Q)words[CURRENT]}" 2>/dev/null)
    if (( $#values )); then
        compadd -l -d shown -a values
    else
        _files
    fi
}
if [[ $funcstack[1] == _reconciler ]]; then
    _reconciler "$@"
else
    compdef _reconciler reconciler
fi
"""

_FISH = r"""# reconciler completes in fish: reconciler completion fish | source
function __reconciler_complete
    set -l before (commandline -opc)
    set -e before[1]
    set -l at (commandline -ct)
    set -l found (reconciler __complete fish $before "=$at" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path "$at"
    end
end
complete --command reconciler --no-files --arguments '(__reconciler_complete)'
"""

_POWERSHELL = r"""# In PowerShell: reconciler completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName reconciler, reconciler.exe -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = @()
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $before += $element.Value
        } else {
            $before += $element.Extent.Text
        }
    }
    & reconciler __complete powershell @before "=$wordToComplete" 2>$null | ForEach-Object {
        $value, $help = $_ -split "`t", 2
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
    }
}
"""

_SCRIPTS = {Shell.bash: _BASH, Shell.zsh: _ZSH, Shell.fish: _FISH, Shell.powershell: _POWERSHELL}


def script(shell: Shell) -> str:
    """The script of a shell."""
    return _SCRIPTS[shell]
