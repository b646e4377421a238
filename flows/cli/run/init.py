"""`litecot init`: a recipe for my case, by flags, or by a few questions on a terminal.

Invariants: the file appears whole, loads, and is never written over another one unasked; nobody is
asked where nobody is there to answer; importing this loads nothing heavy.

A sample: litecot init mine.toml --problems sums.jsonl --teacher http://127.0.0.1:8000/v1#qwen
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import clear_errors
from flows.cli.run.columns import (
    AnswerColumn,
    CandidatesColumn,
    CorrectColumn,
    OptionsColumn,
    QuestionColumn,
)
from flows.progress.text import say
from tasks.errors import UsageError

if TYPE_CHECKING:
    from flows.recipes.starting import Case
    from tasks.intake.columns import ColumnMapping

COLUMN_FLAGS = {
    "--question-column": "question", "--answer-column": "answer",
    "--options-column": "options", "--candidates-column": "candidates",
}  # fmt: skip
METHODS = ("litecot", "macc", "morsd", "all")
Ask = Callable[..., str]


def init(
    file: Annotated[Path, typer.Argument(help="The recipe to write.")] = Path("mine.toml"),
    problems: Annotated[
        list[str] | None, typer.Option(help="File or hub id of your problems; repeatable.")
    ] = None,
    rationales: Annotated[
        list[str] | None,
        typer.Option(help="Problems that bring their own rationales, instead; repeatable."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help=f"{' | '.join(METHODS)}; default: litecot.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="http://host:8000/v1#NAME, a hub id, a folder, smollm2 or nano."),
    ] = None,
    compressor: Annotated[
        str | None, typer.Option(help="As the teacher; default: the teacher.")
    ] = None,
    student: Annotated[
        str | None, typer.Option(help="A hub id, a folder, smollm2 or nano; default: what suits.")
    ] = None,
    evaluate: Annotated[
        list[str] | None,
        typer.Option(help="File or benchmark to evaluate on, kept out of training; repeatable."),
    ] = None,
    key_env: Annotated[
        str | None, typer.Option(help="Variable that holds the server's key, e.g. TEACHER_API_KEY.")
    ] = None,
    train: Annotated[bool, typer.Option(help="Train the student.")] = True,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs of the machine it is for; default: this one's.")
    ] = None,
    question_column: QuestionColumn = None,
    options_column: OptionsColumn = None,
    answer_column: AnswerColumn = None,
    candidates_column: CandidatesColumn = None,
    correct_column: CorrectColumn = None,
    force: Annotated[bool, typer.Option("--force", help="Over a file that is there.")] = False,
) -> None:
    """Write a commented recipe for your case; without flags a few questions are asked.

    The columns of your file are looked at and proposed. Then: litecot run mine.toml --plan
    """
    given = {
        "problems": problems, "rationales": rationales, "method": method, "teacher": teacher,
        "compressor": compressor, "student": student, "evaluate": evaluate, "key_env": key_env,
    }  # fmt: skip
    columns = {
        "question": question_column, "options": options_column, "answer": answer_column,
        "candidates": candidates_column, "correct": correct_column,
    }  # fmt: skip
    with clear_errors():
        _make(file, given, columns, train=train, gpus=gpus, force=force)


def _make(
    file: Path, given: dict[str, Any], columns: dict[str, list[str] | None],
    *, train: bool, gpus: int | None, force: bool,
) -> None:  # fmt: skip
    check_file(file, force=force)
    has_data = given["problems"] or given["rationales"]
    if not has_data and sys.stdin.isatty() and sys.stdout.isatty():
        given |= answers(given)
        columns |= columns_said(given, columns)
    num_gpus = _gpus_here(gpus)
    case, lines = case_of(file.stem, given, _mapping(columns), train=train, num_gpus=num_gpus)
    write(file, case, force=force)
    for line in (*lines, *next_steps(file, case)):
        say(line)


def check_file(file: Path, *, force: bool) -> None:
    """Raises UsageError where it is no name of a recipe, or taken."""
    from flows.cli.output import check_target

    if file.suffix != ".toml":
        raise UsageError(f"{file}: a recipe's file ends in .toml")
    check_target(file, force=force)


def case_of(
    name: str, given: dict[str, Any], columns: ColumnMapping, *, train: bool, num_gpus: int
) -> tuple[Case, list[str]]:
    """The case, and a line a file of which column serves as what. Raises UsageError."""
    from flows.recipes import starting
    from infra.nano.files import resolve_nano
    from tasks.intake.problems import resolve_questions
    from tasks.intake.sources import find_sources

    if given["problems"] and given["rationales"]:
        raise UsageError("--problems and --rationales: give one of them")
    imports = bool(given["rationales"])
    files = tuple(given["rationales"] or given["problems"] or ())
    if not files:
        raise UsageError("--problems FILE is needed, or --rationales FILE (litecot init --help)")
    method = given["method"] or ("morsd" if imports else "litecot")
    _check_method(method, imports=imports)
    models = _models(given, method, imports=imports, num_gpus=num_gpus)
    if given["key_env"] and not any(map(starting.address_of, models.values())):
        raise UsageError("--key-env: no model of this recipe is behind a server")
    found, lines = starting.look_at(files, columns, rationales=imports)
    if given["evaluate"]:
        held_out = find_sources([resolve_nano(one) for one in given["evaluate"]])
        if here := [one.location for one in held_out if one.kind != "hub"]:
            resolve_questions(here)
    case = starting.Case(
        name=name, method=method, problems=files, rationales=imports, columns=found,
        evaluated=tuple(given["evaluate"] or ()), train=train, key_env=given["key_env"],
        num_gpus=num_gpus, **models,
    )  # fmt: skip
    return case, lines


def _check_method(method: str, *, imports: bool) -> None:
    if method not in METHODS:
        raise UsageError(f"--method {method}: choose one of {', '.join(METHODS)}")
    if imports and method != "morsd":
        raise UsageError(
            f"--method {method}: rationales that are there are selected: --method morsd"
        )


def _models(given: dict[str, Any], method: str, *, imports: bool, num_gpus: int) -> dict[str, Any]:
    """Settings by role. MACC's chains are the student's own where no teacher is named."""
    from flows.recipes.starting import model_of, student_for

    teacher, compressor = given["teacher"], given["compressor"]
    student = model_of(
        given["student"] or student_for(teacher, num_gpus=num_gpus), num_gpus=num_gpus
    )
    if imports and (teacher or compressor):
        raise UsageError("--rationales bring their chains: leave out --teacher and --compressor")
    if compressor and method not in ("macc", "all"):
        raise UsageError(f"--compressor: method {method} compresses nothing; --method macc or all")
    if not imports and not teacher and method != "macc":
        raise UsageError(
            "--teacher is needed: a server's model (http://host:8000/v1#NAME), a hub id "
            "(org/name), or nano, the embedded one, for a try"
        )
    found: dict[str, Any] = {"student": student, "teacher": None, "compressor": None}
    if not imports:
        found["teacher"] = student
        if teacher:
            found["teacher"] = model_of(teacher, num_gpus=num_gpus, role="teacher")
        if compressor:
            found["compressor"] = model_of(compressor, num_gpus=num_gpus, role="compressor")
    return found


def write(file: Path, case: Case, *, force: bool) -> None:
    """The recipe, if it loads; else nothing is left. Raises RecipeError."""
    from flows.cli.output import whole_file
    from flows.recipes.loading import load_recipe
    from flows.recipes.starting import recipe_text

    text = recipe_text(case, beside=file.parent)
    trial = file.with_name(f".{file.stem}.trial.toml")  # beside it: paths are seen from there
    try:
        trial.write_text(text, encoding="utf-8")
        load_recipe(str(trial))
    finally:
        trial.unlink(missing_ok=True)
    with whole_file(file, force=force) as growing:
        growing.write_text(text, encoding="utf-8")


def next_steps(file: Path, case: Case) -> list[str]:
    """What was written, and the next two commands."""
    named = str(file) if file.is_absolute() or "/" in str(file) else f"./{file}"
    from flows.recipes.starting import address_of

    check = " --check" if address_of(case.teacher) or address_of(case.compressor) else ""
    return [
        f"{file}: {', '.join(case.stages)}",
        "next:",
        f"  litecot run {named} --plan{check}",
        f"  litecot run {named}",
    ]


def _gpus_here(given: int | None) -> int:
    if given is not None:
        return given
    from infra.placement.machine import gpus

    return len(gpus())


def _mapping(columns: dict[str, list[str] | None]) -> ColumnMapping:
    from tasks.intake.columns import ColumnMapping

    said: dict[str, Any] = {}
    for name, value in columns.items():
        if value:
            is_text = name in ("question", "answer") and len(value) == 1
            said[name] = value[0] if is_text else tuple(value)
    return ColumnMapping(**said)


# --- questions


def answers(given: dict[str, Any], ask: Ask | None = None) -> dict[str, Any]:
    """What a person says to what is left open; `ask` stands in for the terminal."""
    from flows.recipes.starting import student_for

    asked = ask or _on_terminal
    found: dict[str, Any] = {}
    words = asked("Your problems (file or hub id)", default="nano:train", files=True)
    brings = _brings_rationales(words)
    if brings and _yes(asked("It has rationales. Select among them, without a teacher?", "yes")):
        found |= {"rationales": [words], "method": "morsd"}
    else:
        found["problems"] = [words]
        found["method"] = given["method"] or asked("Method", default="litecot", choices=METHODS)
        if not given["teacher"]:
            found["teacher"] = asked(
                "Teacher (http://host:8000/v1#NAME, hub id, nano)", default="nano",
                choices=("nano", "http://127.0.0.1:8000/v1#"),
            )  # fmt: skip
        if str(found.get("teacher", "")).startswith("https://") and not given["key_env"]:
            found["key_env"] = asked("Variable that holds its key", default="TEACHER_API_KEY")
    if not given["student"]:
        fitting = student_for(found.get("teacher") or given["teacher"], num_gpus=0)
        found["student"] = asked(
            "Student (hub id, folder, smollm2, nano)", default=fitting, choices=("nano", "smollm2")
        )
    if not given["evaluate"]:
        held_out = asked("Held-out problems to evaluate on (empty: none)", default="", files=True)
        found["evaluate"] = [held_out] if held_out else None
    return found


def columns_said(
    given: dict[str, Any], columns: dict[str, list[str] | None], ask: Ask | None = None
) -> dict[str, list[str] | None]:
    """The columns with those that a person names where they cannot be guessed."""
    from flows.recipes.starting import look_at

    found = dict(columns)
    names = given["rationales"] or given["problems"]
    for _ in COLUMN_FLAGS:
        try:
            look_at(names, _mapping(found), rationales=bool(given["rationales"]))
        except UsageError as error:
            flag = next((one for one in COLUMN_FLAGS if f"name it with {one}" in str(error)), "")
            if not flag:
                raise
            say(str(error))
            column = (ask or _on_terminal)(f"Column ({flag})", default="")
            found[COLUMN_FLAGS[flag]] = [column]
    return found


def _brings_rationales(name: str) -> bool:
    """Whether the file has a column that could be rationales."""
    from flows.recipes.starting import look_at
    from tasks.intake.columns import ColumnMapping

    try:
        columns, _ = look_at([name], ColumnMapping(), rationales=True)
    except UsageError:
        return False
    return bool(columns.get("candidates"))


def _yes(answer: str) -> bool:
    return answer.strip().lower() in ("y", "yes", "")


def _on_terminal(
    question: str, default: str = "", *, choices: Iterable[str] = (), files: bool = False
) -> str:
    from prompt_toolkit import prompt
    from prompt_toolkit.completion import PathCompleter, WordCompleter

    words: Sequence[str] = tuple(choices)
    completer = PathCompleter(expanduser=True) if files else WordCompleter(list(words))
    told = f"{question} [{'/'.join(words)}]: " if words else f"{question}: "
    said = prompt(told, default=default, completer=completer, reserve_space_for_menu=0)
    return said.strip()
