"""Completion: names of the site at the cursor, in every shell; what strangers call their virtual machines runs nothing;
nothing is written, and what is wrong with a site shows nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.completion.candidates import lines
from reconciler.cli.completion.scripts import Shell, script
from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")
SHELLS = [str(each) for each in Shell]

#: What a stranger may call a virtual machine so that a shell that evaluates it runs something.
HOSTILE = ["one;touch PWNED", "one$(touch PWNED)", "one`touch PWNED`", "one'\"touch PWNED", "one|x", "one*", "one two"]


def values(*words: str) -> list[str]:
    return [line.partition("\t")[0] for line in lines(words)]


@pytest.fixture
def there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    assert shop("apply", "--yes", *T1).code == 0
    monkeypatch.chdir(shop.root)
    return shop


#: Words, and what may stand at the cursor behind them.
TABLE = [
    (("points", "="), ["one", "two"]),
    (("recover", "=t"), ["two"]),
    (("members", "=g"), ["gold"]),
    (("plan", "--group", "="), ["gold"]),
    (("plan", "--server", "=m"), ["mabs-01"]),
    (("status", "--site", "="), ["hq"]),
    (("store", "declare-lost", "mabs-01", "--volume", "="), ["vol-a"]),
    (("-q", "=stat"), ["status", "state"]),
    (("=resu",), ["resume"]),
    (("store", "=c"), ["check"]),
    (("plan", "=--det"), ["--detailed-exitcode"]),
    (("plan", "=--qui"), ["--quiet"]),
    (("plan", "--output", "=mark"), ["markdown"]),
    (("explain", "=RCL1016"), ["RCL1016"]),
    (("schema", "--kind", "=Saved"), ["SavedPlan"]),
    (("show", "="), []),
    (("nothing", "such", "="), []),
]


def test_what_stands_at_the_cursor(there: Shop) -> None:
    for words, found in TABLE:
        for shell in SHELLS:
            assert values(shell, *words) == found, (shell, words)


def test_a_value_behind_an_equals_sign() -> None:
    assert values("bash", "plan", "--output", "=", "=js") == ["json"]  # bash takes it for three words
    assert "json" in values("bash", "plan", "--output", "==")
    for shell in ("zsh", "fish"):
        assert values(shell, "plan", "=--output=js") == ["--output=json"]
    assert values("powershell", "plan", "=--output=js") == ["--output=json"]


def test_points_are_those_of_the_virtual_machine(there: Shop) -> None:
    assert there("run", "--until-idle", *T1).code == 0
    of_one = values("bash", "recover", "one", "--point", "=")
    assert len(of_one) == 1
    assert len(values("bash", "recover", "--point", "=")) == 2
    assert values("bash", "recover", "one", "--point", f"={of_one[0][:5]}") == of_one


def test_a_root_that_is_named(there: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir("/")
    assert _answer(Path("/"), "bash", "points", "=").stdout == ""
    assert values("bash", "points", "-C", str(there.root), "=") == ["one", "two"]
    assert values("bash", "-C", str(there.root), "plan", "--group", "=") == ["gold"]


#: A busy computer is no reason for a test to fail.
_PATIENT = "import reconciler.cli.completion.candidates as candidates; candidates.PATIENCE_SECONDS = 60"


def _answer(root: Path, *words: str, code: str = _PATIENT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{code}\nfrom reconciler.cli import main; main()", "__complete", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)


_NO_WRITING = """
import os, sys
def hook(event, args):
    if event == "open" and not str(args[0]).startswith("/dev/") and "/__pycache__/" not in str(args[0]):
        writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or (isinstance(args[1], str) and set(args[1]) & set("wax+")):
            os.write(1, f"WRITES {args}".encode())
    if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.truncate"):
        os.write(1, f"WRITES {event} {args}".encode())
sys.addaudithook(hook)
"""


def _tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(root.rglob("*"))}


def test_nothing_is_opened_for_writing(there: Shop) -> None:
    before = _tree(there.root)
    said = _answer(there.root, "fish", "points", "=", code=f"{_PATIENT}\n{_NO_WRITING}")
    assert said.stdout == "one\tvirtual machine\ntwo\tvirtual machine\n"
    assert _tree(there.root) == before


def test_it_never_fails_and_never_speaks(there: Shop) -> None:
    def quiet(*words: str) -> str:
        said = _answer(there.root, *words)
        assert said.returncode == 0
        assert said.stderr == ""
        return said.stdout

    for words in ([], ["bash"], ["perl", "="], ["zsh", "plan", "--no", "such", "="], ["fish", "x", "\udcff"]):
        assert quiet(*words) == "" or words == ["bash"]
    assert there("run", "--until-idle", *T1).code == 0
    shutil.rmtree(there.root / "cluster")
    assert quiet("bash", "points", "=") == "one\ntwo\n"  # the catalog knows them
    (there.root / "policies" / "site.yaml").write_text("kind: [")
    assert quiet("bash", "plan", "--group", "=") == "gold\n"  # as the policies were the last time they were right
    shutil.rmtree(there.root / "var")
    quiet("bash", "points", "=")


def test_it_gives_up_in_time(there: Shop) -> None:
    slow = "import time, reconciler.cli.completion.candidates as c\nc.lines = lambda words: time.sleep(60)"
    began = time.monotonic()
    said = _answer(there.root, "bash", "points", "=", code=slow)
    assert said.stdout == ""
    assert said.returncode == 0
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_evaluate_nothing(run: Callable[..., Said], shell: str) -> None:
    said = run("completion", shell)
    assert said.code == 0
    assert said.out == script(Shell(shell))
    code = "\n".join(line for line in said.out.splitlines() if not line.startswith("#"))
    assert "eval" not in code
    assert "Invoke-Expression" not in code


def test_names_of_strangers_are_one_word(there: Shop) -> None:
    for number, name in enumerate(HOSTILE, 10):
        there.cluster.add(number, name)
    there.cluster.add(30, "one\x1b[2Jx")
    found = values("bash", "points", "=")
    assert len(found) == 2 + len(HOSTILE)  # without the one that would clear the screen
    text = "; ".join(f"printf '%s\\n' {each}" for each in found)
    said = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert sorted(said.stdout.splitlines()) == sorted([*HOSTILE, "one", "two"])
    assert "'one$(touch PWNED)'" in values("powershell", "points", "=")
    assert values("bash", "points", "='one") == ["one", "one two", "one*", "one;touch PWNED", "one|x"]


# --- In the shells themselves ----------------------------------------------------------------------------------

_BASH = """
source {script}
complete_line() {{
    COMP_LINE="$1"; COMP_POINT=${{#1}}; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _reconciler reconciler "${{COMP_WORDS[COMP_CWORD]}}"
    printf '%s\\n' "${{COMPREPLY[@]}}"
}}
complete_line 'reconciler points ' reconciler points ''
echo --
complete_line 'reconciler points "one;' reconciler points '"one;'
echo --
complete_line 'reconciler plan --output=js' reconciler plan --output = js
complete -p reconciler
"""


def _on_path(folder: Path) -> dict[str, str]:
    """An environment in which `reconciler` is the one that is tested."""
    bin = folder / "bin"
    bin.mkdir()
    program = bin / "reconciler"
    program.write_text(f"#!{sys.executable}\n{_PATIENT}\nfrom reconciler.cli import main\nmain()\n")
    program.chmod(0o755)
    return os.environ | {"PATH": f"{bin}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb"}


def _need(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not on PATH")
    return found


def test_in_bash(there: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    there.cluster.add(10, HOSTILE[0])
    away = tmp_path_factory.mktemp("shell")
    environment = _on_path(away)
    (away / "script").write_text(script(Shell.bash))
    said = subprocess.run(
        [_need("bash"), "--norc", "-c", _BASH.format(script=away / "script")],
        cwd=there.root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.splitlines() == [
        "one",
        r"one\;touch\ PWNED",
        "two",
        "--",
        "one;touch PWNED",
        "--",
        "json",
        "complete -o bashdefault -o default -F _reconciler reconciler",
    ]
    assert said.stderr == ""
    assert not list(there.root.rglob("PWNED"))


def test_bash_takes_a_key(there: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In an interactive bash, by the key itself."""
    import pexpect

    there.cluster.add(10, "web one$(touch PWNED)")
    away = tmp_path_factory.mktemp("shell")
    environment = _on_path(away)
    child = pexpect.spawn(
        _need("bash"), ["--norc", "--noprofile"], cwd=str(there.root), env=environment, encoding="utf-8", timeout=30
    )
    child.sendline("PS1='ready> '; bind 'set enable-bracketed-paste off'; source <(reconciler completion bash)")
    child.expect("ready> ")
    child.sendline("echo loaded")
    child.expect("loaded\r\n")
    child.send("reconciler members g\t")
    child.expect("members gold ")
    child.send("\x01\x0breconciler points we\t")
    child.expect_exact(r"web\ one\$\(touch\ PWNED\)")
    child.sendline("\x01\x0bexit")
    child.expect(pexpect.EOF)
    child.close()
    assert not list(there.root.rglob("PWNED"))


_ZSH = """
autoload -Uz compinit; compinit -u -d {away}/dump
source {script}
compadd() {{ local at=$@[(i)-a]; print -rl -- "${{(@P)@[at+1]}}"; }}
_files() {{ print -r -- FILES; }}
words=(reconciler points ''); CURRENT=3; _reconciler
print -r -- --
words=(reconciler show ''); CURRENT=3; _reconciler
"""


def test_in_zsh(there: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    there.cluster.add(10, HOSTILE[1])
    away = tmp_path_factory.mktemp("shell")
    environment = _on_path(away)
    (away / "script").write_text(script(Shell.zsh))
    said = subprocess.run(
        [_need("zsh"), "-f", "-c", _ZSH.format(script=away / "script", away=away)],
        cwd=there.root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.splitlines() == ["one", HOSTILE[1], "two", "--", "FILES"]
    assert not list(there.root.rglob("PWNED"))


def test_in_fish(there: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    there.cluster.add(10, HOSTILE[1])
    away = tmp_path_factory.mktemp("shell")
    environment = _on_path(away)
    (away / "script").write_text(script(Shell.fish))
    code = f"source {away / 'script'}; complete -C 'reconciler points '; echo next; complete -C 'reconciler show pol'"
    said = subprocess.run(
        [_need("fish"), "--no-config", "-c", code],
        cwd=there.root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    shown = [line.partition("\t")[0] for line in said.stdout.splitlines()]
    assert shown == ["one", HOSTILE[1], "two", "next", "policies/"]
    assert not list(there.root.rglob("PWNED"))
