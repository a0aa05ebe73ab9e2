"""The house: what the imports contracts cannot hold."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import mypy
import pytest

from reconciler import system_calls, wiring
from reconciler.errors import ExitCode, codes, worst

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "reconciler"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ROOMS = [
    "errors",
    "model",
    "parse",
    "plan",
    "schedule",
    "report",
    "snapshots",
    "state",
    "images",
    "engines.embedded",
    "engines.memory",
]

COMMANDS = ["validate", "plan", "apply", "run", "status", "jobs", "points", "recover", "check", "explain", "demo"]

#: What a command may not import before it is asked to do something.
HEAVY = ("yaml", "jsonschema", "sqlite3", "zstandard", "blake3", "watchfiles", "rich", "reconciler.plan")


def test_every_file_opens_with_a_sentence() -> None:
    for path in SOURCES:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert text or path.name == "__main__.py", path
    assert len(SOURCES) > 80


def test_no_file_is_long() -> None:
    long = {path.name: lines for path in SOURCES if (lines := path.read_text(encoding="utf-8").count("\n")) > 400}
    assert set(long) <= {"documents.py"}, long


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_door_shows_is_described(room: str) -> None:
    module = importlib.import_module(f"reconciler.{room}")
    for name in module.__all__:
        shown = getattr(module, name)
        if inspect.isclass(shown) or inspect.isfunction(shown):
            assert inspect.getdoc(shown), f"{room}.{name}"


def test_one_module_writes_to_the_terminal() -> None:
    """`cli.screen` makes harmless what it writes. The version and the demo, which show nothing of strangers, the child
    that evaluates rules, whose stdout its parent reads, and the bars, without markup, are all that goes past it."""
    past = {"cli/terminal.py", "expressions/child.py", "cli/__init__.py", "demo/play.py", "demo/make_images.py"}
    for path in SOURCES:
        name = path.relative_to(PACKAGE).as_posix()
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        writes = {"sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write", "sys.stderr.buffer.write"}
        writes |= {"sys.stdout.writelines", "sys.stderr.writelines", "warnings.warn", "logging.getLogger"}
        writes |= {"traceback.print_exception", "traceback.print_exc", "typer.secho", "click.echo", "click.secho"}
        assert not calls & (writes | {"print"}) or name in past, (name, calls & writes)
        assert "typer.echo" not in calls or name == "cli/commands/site.py", name
        assert "sys.stdout" not in text or name.startswith(("cli/", "demo/", "expressions/child")), name
        imported = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not any(each.split(".")[0] == "rich" for each in imported) or name == "cli/progress.py", name
        assert "jinja2" not in imported or name in ("report/escape.py", "report/pages.py"), name
        assert "junitparser" not in imported or name == "report/annotations.py", name
        assert not re.search(r"##vso\[|f?\"::", text) or name in ("report/annotations.py", "report/escape.py"), name


def test_no_template_is_trusted_and_no_markup_is_made_from_data() -> None:
    for path in (PACKAGE / "report" / "templates").iterdir():
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", path.read_text(encoding="utf-8")), path
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "Markup(" not in text.replace('Markup("&#35;")', ""), path
        assert "from jinja2 import Environment" not in text or path.name == "escape.py", path
    text = (PACKAGE / "cli" / "progress.py").read_text(encoding="utf-8")
    assert "Console(stderr=True, markup=False" in text
    assert text.count("TextColumn(") == text.count('{task.description}", markup=False)') == 1


#: Rooms and files that open what the program itself has just made, or what is no file of anybody.
_OPENS_ITS_OWN = (
    "expressions/child.py",
    "demo",
    "engines",
    "errors/codes.py",
    "files.py",
    "sqlite.py",
    "signing.py",
    "system_calls",
)


#: What touches the world, keeps state or is shared by all shows its names at the door of its room, and nowhere else.
_DOORS = ("engines", "errors", "expressions", "gitrepo", "images", "inventory", "protocols", "snapshots", "state")


def test_rooms_with_a_door_are_entered_by_it() -> None:
    for path in SOURCES:
        room = path.relative_to(PACKAGE).parts[0]
        for behind in re.findall(r"(?:from|import) reconciler\.(\w+)\.[\w.]+", path.read_text(encoding="utf-8")):
            assert behind not in _DOORS or behind == room, (path, behind)


def test_what_others_made_is_opened_through_one_door() -> None:
    """A pipe or a device among them must neither hold the site nor be read: `files.open_regular`."""
    for path in SOURCES:
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(_OPENS_ITS_OWN):
            found = re.findall(
                r'(?<!files)\.(?:read_bytes|read_text)\(|\.open\("rb?"|O_RDONLY', path.read_text(encoding="utf-8")
            )
            assert not found, (name, found)


#: Where letters change their case for another reason than to compare two names: words of a programme, not names.
_OTHER_LETTER_CASE = {
    "model/encode.py": "true and false as they are written",
    "model/identity.py": "an id, as it is stored",
    "engines/places.py": "names of files, told apart as coarsely as any file system might",
    "images/inspect.py": "what a file's name ends in",
    "inventory/directory.py": "what a file's name ends in",
    "system_calls/forbidden_names.py": "a name of a device, as Windows compares it",
    "system_calls/windows_processes.py": "an id of the system, as it is shown",
    "snapshots/form.py": "a word within a sentence",
    "secrets.py": "what a setting is called",
    "report/plan_words.py": "true and false as they are written",
    "cli/actions/validate.py": "a code, as it is called",
    "control/authoring/import_groups.py": "a policy's name, made of a server's",
    "parse/policy_files.py": "what a file's name ends in",
    "parse/text.py": "the name of a letter",
    "parse/wording.py": "true and false; a unit, as it is spelt",
    "model/similar_names.py": "the name of a letter",
    "report/action_events.py": "the name of an exit code",
    "parse/unsupported.py": "true and false as they are written",
}


def test_letter_case_has_one_meaning() -> None:
    """Names are compared by `model.names`, patterns by `plan.globs`."""
    for path in SOURCES:
        name, text = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
        if name not in ("model/names.py", "engines/places.py"):
            assert not re.search(r"casefold|IGNORECASE|\bre\.I\b|\(\?[a-z]*i[a-z]*\)|fnmatch|\bnormalize\(", text), name
            changes = re.search(r"\.(lower|upper|swapcase)\(|str\.(lower|upper)\b", text)
            assert not changes or name in _OTHER_LETTER_CASE, (name, changes)


def test_every_code_is_explained_and_every_explanation_is_used() -> None:
    used: set[str] = set()
    for path in SOURCES:
        if path.name != "codes.py":
            used |= set(re.findall(r"RCL\d{4}", path.read_text(encoding="utf-8")))
    assert used - {"RCL1007"} <= set(codes()) | {"RCL1007"}
    assert set(codes()) - used == set()
    assert all(each.title and each.cause.endswith(".") and each.remedy.endswith(".") for each in codes().values())


def test_no_explanation_is_left_out_for_its_form() -> None:
    """An entry of codes.md that is not written as the others would silently be none."""
    headings = re.findall(r"^##.*?(RCL\d{4})", (PACKAGE / "errors/codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == sorted(codes())


def test_which_exit_code_counts() -> None:
    assert worst([]) is ExitCode.SUCCESS
    assert worst([ExitCode.BELOW_THRESHOLD, ExitCode.CONSENT_NEEDED]) is ExitCode.CONSENT_NEEDED
    assert worst([ExitCode.FAILURE, ExitCode.INTERRUPTED]) is ExitCode.INTERRUPTED
    assert worst([ExitCode.LOCK_HELD, ExitCode.UNREACHABLE]) is ExitCode.UNREACHABLE


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["--help"],
        *([name, "--help"] for name in COMMANDS),
        ["store", "check", "--help"],
        ["evidence", "query", "--help"],
        ["lock", "show", "--help"],
        ["state", "restore", "--help"],
    ],
    ids=" ".join,
)
def test_help_and_version_import_little(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from reconciler.cli import main\n"
        "try:\n"
        f"    main({words!r})\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code, ended.code\n"
        f"sys.stderr.write(' '.join(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout
    assert ended.stderr == ""


def test_what_comes_with_the_product_is_what_others_are_told() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert told == wiring._OURS
    for group, named in wiring._OURS.items():
        assert all(callable(wiring._load(group, name)) for name in named)


def test_no_file_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in (".zst", ".png", ".db", ".pack") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://[a-z.]*(pythonhosted|pypi)[a-z.]*/", text), name
        assert f"/{'root'}/" not in text, name
        assert f"/{'work'}/" not in text, name


# --- What only one system has ------------------------------------------------------------------------------------

#: The files that may use it, and the child, which loads nothing of the package and asks which system it is on.
_ONE_SYSTEM = {
    "system_calls/posix.py": "linux",
    "system_calls/windows_files.py": "win32",
    "system_calls/windows_processes.py": "win32",
    "system_calls/windows_kernel.py": "win32",
}
_ASKS_ITSELF = "expressions/child.py"


@cache
def _names(module: str, platform: str) -> frozenset[str] | None:
    """What a module of the standard library has on a platform, by mypy's stubs; None for one that is not of it."""
    stubs = Path(mypy.__file__).parent / "typeshed" / "stdlib"
    path = stubs / (module.replace(".", "/") + ".pyi")
    path = path if path.is_file() else stubs / module.replace(".", "/") / "__init__.pyi"
    if not path.is_file():
        return None
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(name for node in body for name in _defined(node, platform))


def _defined(node: ast.stmt, platform: str) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.AnnAssign):
        yield ast.unparse(node.target)
    elif isinstance(node, ast.Assign):
        yield from map(ast.unparse, node.targets)
    elif isinstance(node, ast.ImportFrom | ast.Import):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.If):
        said = ast.unparse(node.test)
        version = re.sub(r"sys\.platform", repr(platform), said)
        taken = eval(version, {"sys": sys})  # a condition of a stub on platform and version
        for inner in node.body if taken else node.orelse:
            yield from _defined(inner, platform)


@cache
def _only(module: str, platform: str) -> frozenset[str]:
    """What the module has on this platform and not on the other."""
    mine, other = (_names(module, each) for each in (platform, {"linux": "win32", "win32": "linux"}[platform]))
    return (mine or frozenset()) - (other or frozenset())


def _used(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of what a file takes from other modules."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module or "", alias.name) for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (module := modules.get(ast.unparse(node.value))):
            yield module, node.attr


def test_what_only_one_system_has_stands_in_one_place() -> None:
    """A name that Windows does not have ends every command there at its first use, or at its import."""
    assert {"pread", "O_NOFOLLOW", "O_DIRECTORY", "getuid", "SEEK_DATA"} <= _only("os", "linux")
    assert {"flock", "LOCK_EX"} <= _only("fcntl", "linux")
    assert {"SIGKILL", "pthread_kill", "setitimer"} <= _only("signal", "linux")
    assert "SIGBREAK" in _only("signal", "win32")
    for path in SOURCES:
        name = path.relative_to(PACKAGE).as_posix()
        mine = _ONE_SYSTEM.get(name, "")
        for module, used in _used(ast.parse(path.read_text(encoding="utf-8"))):
            for platform in {"linux", "win32"} - {mine}:
                one = _only(module, platform)
                assert used not in one or name == _ASKS_ITSELF, (name, module, used, platform)
            whole = _names(module, "linux") if mine != "linux" else None
            assert used or whole is None or whole - _only(module, "linux") or name == _ASKS_ITSELF, (name, module)


def test_no_program_is_started_by_its_bare_name() -> None:
    """Windows looks for it in the current folder first, where a repository may hold one: `system_calls.program`."""
    for path in SOURCES:
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List) and node.elts and isinstance(node.elts[0], ast.Constant):
                assert node.elts[0].value not in ("git", "ssh-keygen", "ssh", "sh"), (name, node.lineno)


def test_both_systems_have_the_same_calls() -> None:
    """Name, parameters and what comes back; and a sentence on each that says what it does there."""
    calls: dict[str, dict[str, str]] = {"linux": {}, "win32": {}}
    for name, system in _ONE_SYSTEM.items():
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        public = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
        assert all(ast.get_docstring(node) for node in public), name
        for each in public:
            calls[system][each.name] = f"{ast.unparse(each.args)} -> {ast.unparse(each.returns or each)}"
    assert calls["linux"] == calls["win32"]
    assert set(calls["linux"]) == set(system_calls.__all__) - {"Process", "TERMINATING"}
