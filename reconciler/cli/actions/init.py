"""init: a few answers -> a site that validates, applies and runs: policies, a guardrail with its test, CI, a sample."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reconciler import files
from reconciler.cli.terminal import is_interactive, note, out
from reconciler.control.authoring.sample_cluster import sample_cluster
from reconciler.control.authoring.starter_files import CI_FILES, Answers, first_policies, ignored, starter_files
from reconciler.control.policy_folder import FOLDER
from reconciler.errors import Diagnostic, ExitCode, Severity, UsageError
from reconciler.parse import read_texts
from reconciler.parse.schema import rendered

#: What is asked, in this order; the names are those of the options.
_QUESTIONS = {
    "site": "Name of the site",
    "time_zone": "Time zone for schedules",
    "cluster": "Name of the cluster",
    "inventory": "Folder of the cluster, from the new root",
    "server": "Name of the backup server",
    "store": "Folder of its store, from the new root",
    "volume": "Name of its volume",
    "capacity": "Capacity of the volume",
    "group": "Name of the first protection group",
    "machines": "Virtual machines that it protects, by name (* and ? are wildcards, commas between)",
    "retention": "How long recovery points are kept",
    "synchronization": "How often changes are synchronized",
}


def init(folder: Path, asked: dict[str, str], *, prune: bool | None, sample: bool | None, ci: str | None) -> int:
    """Writes a first site. `asked` are the options, or the defaults of the questions: where `prune` is None somebody
    answers in a terminal. `sample` None: a sample cluster where there is none. Nothing is written over."""
    if ci is not None and ci not in (*CI_FILES, "none"):
        raise UsageError("RCL0003", f"there is no CI file for {ci!r}", f"One of {', '.join((*CI_FILES, 'none'))}.")
    target = folder / FOLDER
    if any(each.exists() and not each.is_dir() for each in (folder, *folder.parents)):
        what = f"{folder} is not a folder, or lies below something that is none"
        raise UsageError("RCL0006", what, "Name a folder, or one to be made.", subject=str(folder))
    if target.exists():
        raise UsageError("RCL0006", f"{target} already exists", "Name another folder.", subject=str(target))
    if prune is None:
        answers, ci = _ask(asked, ci)
    else:
        answers = _answers(_checked(asked), prune=prune)
    new_cluster = not (folder / answers.inventory).exists()
    if prune is None and sample is None and new_cluster:
        sample = _confirm(f"{answers.inventory} does not exist. Write a sample cluster there, to try things out?")
    with_sample = new_cluster if sample is None else sample
    texts = starter_files(answers, "github" if ci is None else ci)
    texts |= {f"schemas/{name}": text for name, text in rendered().items()}
    data = {path: text.encode() for path, text in texts.items()}
    if with_sample:
        data |= {f"{answers.inventory}/{path}": what for path, what in sample_cluster(answers).items()}
    _write(folder, data, ignored(answers, sample=with_sample))
    shown = [path for path in texts if not path.startswith("schemas/")]
    note(f"Written: {', '.join(shown)}, schemas/ for your editor, and .gitignore: state and store are not for Git.")
    if with_sample:
        note(f"{answers.inventory}/ is a sample cluster with small disks. It is not for Git either.")
    where = "" if folder.resolve() == Path.cwd() else f" -C {folder}"
    out(f"Next: reconciler validate{where}\n      reconciler apply{where}\n      reconciler run --until-idle{where}\n")
    return ExitCode.SUCCESS


def _write(folder: Path, data: dict[str, bytes], ignored_lines: tuple[str, ...]) -> None:
    """Writes every file that is not there yet."""
    files.make_folder(folder, 0o755)
    # The one file that may well be there already: what ails it is told before anything is written.
    _ignore(folder / ".gitignore", ignored_lines)
    for path, what in data.items():
        if (folder / path).exists():
            note(f"{path} is left as it is.")
            continue
        for parent in reversed((folder / path).relative_to(folder).parents):
            files.make_folder(folder / parent, 0o755)
        files.write_whole(folder / path, what, 0o644)


def _ignore(path: Path, lines: tuple[str, ...]) -> None:
    """Adds the lines that are not there yet."""
    text = files.read_text(path) if path.exists() else ""
    missing = [line for line in lines if line not in text.splitlines()]
    if missing:
        before = text if not text or text.endswith("\n") else f"{text}\n"
        files.write_whole(path, (before + "".join(f"{line}\n" for line in missing)).encode(), 0o644)


# --- Answers ---------------------------------------------------------------------------------------------------


def _ask(defaults: dict[str, str], ci: str | None) -> tuple[Answers, str]:
    """The answers of somebody in a terminal, each checked as it is given; and which CI files are written."""
    if not is_interactive():
        raise UsageError(
            "RCL0003",
            "--prune or --no-prune is missing",
            "Say whether a group that is removed from the policies may be stopped; there is no default.",
        )
    import typer

    told: dict[str, str] = {}
    for name, question in _QUESTIONS.items():
        default = _filled(defaults[name], told)
        while True:
            text = typer.prompt(question, default=default)
            fault = _fault(name, text)
            if fault is None:
                break
            note(f"{fault.message}. {fault.remedy}")
        told[name] = text
    prune = _confirm("May a group that is removed from the policies be stopped (once that is approved)?", None)
    while ci not in (*CI_FILES, "none"):
        ci = typer.prompt(f"CI files ({', '.join((*CI_FILES, 'none'))})", default="github")
    return _answers(told, prune=prune), ci


def _confirm(question: str, default: bool | None = True) -> bool:
    import typer

    return bool(typer.confirm(question, default=default))


def _checked(asked: dict[str, str]) -> dict[str, str]:
    """The options with the names in braces filled in. Raises `UsageError`, RCL0003, about the first that is wrong."""
    told: dict[str, str] = {}
    for name, text in asked.items():
        told[name] = _filled(text, told)
        fault = _fault(name, told[name])
        if fault is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError("RCL0003", f"{option} {told[name]!r}: {fault.message}", fault.remedy)
    return told


def _filled(text: str, told: dict[str, str]) -> str:
    """The text with the names in braces that were told; other braces stay."""
    for name, value in told.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _value(name: str, text: str) -> str | tuple[str, ...]:
    """The answer as `Answers` has it."""
    if name != "machines":
        return text
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _answers(told: dict[str, str], *, prune: bool) -> Answers:
    values = {name: _value(name, text) for name, text in told.items()}
    return msgspec.convert({**values, "prune": prune}, Answers)


def _fault(name: str, text: str) -> Diagnostic | None:
    """What the policy language has against the answer: the first error in policies that are right but for it."""
    answers = msgspec.structs.replace(Answers(), **{name: _value(name, text)})
    texts = {f"{FOLDER}/{file}": text.encode() for file, text in first_policies(answers).items()}
    found = read_texts(texts, ".").diagnostics
    return next((each for each in found if each.severity is Severity.ERROR), None)
