"""Errors: what can reach a command is a LitecotError, and keeps its words between processes."""

from __future__ import annotations

import ast
import importlib
import pickle
from pathlib import Path
from types import ModuleType

import pytest

from flows.cli.messages import exit_code, one_line
from infra.runs.runner import StageFailedError
from tasks.errors import LitecotError, UsageError
from tasks.ports import PermanentError, TransientError

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("flows", "infra", "sql", "tasks")
# Signals between our own parts: each is caught on our side, none of them ends a command.
SIGNALS = {
    "tasks.ports.TransientError": "the runner tries again, and names it in StageFailedError",
    "tasks.ports.PermanentError": "the runner makes a rejection of it",
    "infra.engines.errors.EngineBrokenError": "the pool starts another engine",
    "infra.engines.errors.EngineDied": "the runner tries again",
    "infra.hosting.replicas.ReplicaLostError": "the pool sends the request to another engine",
    "infra.storage.manifest.NewerError": "reading the manifest says ManifestError, with a remedy",
    "infra.storage.s3.bucket.ReplacedError": "the store loses a race, and says CorpusError",
    "tasks.answers.symbolic.UnreadableGoldError": "the verdict becomes unverifiable",
    "tasks.answers.expressions.UnreadableError": "another rule, or math-verify, compares",
    "tasks.answers.evaluation.UndefinedError": "another rule, or math-verify, compares",
    "tasks.prompts.sandbox.PromptLimitError": "the prompt is refused, or its record rejected",
    "tasks.intake.chat.ChatError": "reading a row makes a RowError of it",
    "tasks.intake.rows.RowError": "ingest makes a rejection of it",
    "tasks.intake.readers._LineTooLongError": "the reader makes a bad row of it",
}
# What a command that knows nothing better says; kept here so that a change is seen.
EXIT_CODES = {
    "CorpusError": 2, "DiskFullError": 1, "EndpointError": 1, "EngineStartError": 1,
    "EvaluationOverlapError": 1, "IngestError": 2, "LitecotError": 1, "ModelFilesError": 2,
    "NotTrainedError": 1, "NothingToTrainError": 1, "PlacementError": 2, "PluginError": 2,
    "PublishError": 2, "QueryFailedError": 2, "QueryRefusedError": 2, "RecipeError": 2,
    "ServerError": 1, "SettingsError": 2, "StageFailedError": 1, "StoreUnavailableError": 1,
    "TrainingError": 1, "UnknownIdError": 2, "UnknownQuestionError": 2, "UnknownRunError": 2,
    "UsageError": 2,
}  # fmt: skip


def modules() -> list[ModuleType]:
    """Those that define an error; by their text, so that no library is imported for nothing."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    names = [str(path.relative_to(ROOT))[:-3].replace("/", ".") for path in paths if _defines(path)]
    return [importlib.import_module(name) for name in names]


def _defines(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.ClassDef) and _is_error(node) for node in ast.walk(tree))


def _is_error(node: ast.ClassDef) -> bool:
    names = [node.name, *map(ast.unparse, node.bases)]
    return any(name.endswith(("Error", "Exception")) for name in names)


def error_classes() -> dict[str, type[Exception]]:
    """Dotted name -> each class of ours that is an error, whatever it is called."""
    return {
        f"{module.__name__}.{value.__name__}": value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == module.__name__
    }


@pytest.fixture(scope="module")
def classes() -> dict[str, type[Exception]]:
    return error_classes()


def test_every_error_is_a_persons_or_a_signal_of_ours(classes: dict[str, type[Exception]]) -> None:
    ours = {name for name, cls in classes.items() if issubclass(cls, LitecotError)}
    assert {*classes} - ours == {*SIGNALS}


def test_every_exit_code_is_failed_or_usage(classes: dict[str, type[Exception]]) -> None:
    codes = {
        cls.__name__: cls.exit_code for cls in classes.values() if issubclass(cls, LitecotError)
    }
    assert set(codes.values()) == {1, 2}
    assert codes | EXIT_CODES == codes


def test_exit_codes_are_inherited_and_a_bug_has_none() -> None:
    class SpecialError(UsageError): ...

    assert exit_code(SpecialError()) == 2
    assert exit_code(LitecotError()) == 1
    assert exit_code(KeyError()) is None
    assert exit_code(ValueError("UsageError")) is None


def test_an_error_survives_the_trip_between_processes(classes: dict[str, type[Exception]]) -> None:
    for cls in classes.values():
        if issubclass(cls, LitecotError) and "__init__" not in vars(cls):
            back = pickle.loads(pickle.dumps(cls("it's gone: bring it back")))
            assert (type(back), one_line(back)) == (cls, "it's gone: bring it back")


def test_errors_with_more_than_words_survive_it_too() -> None:
    failed = pickle.loads(pickle.dumps(StageFailedError("3 of 5 failed", num_rows=2)))
    assert (str(failed), failed.num_rows, exit_code(failed)) == ("3 of 5 failed", 2, 1)
    passing = pickle.loads(pickle.dumps(TransientError("busy", retry_after_s=2.5)))
    assert (str(passing), passing.retry_after_s) == ("busy", 2.5)
    refused = pickle.loads(pickle.dumps(PermanentError("too_long", "4096 tokens")))
    assert (refused.reason, refused.detail) == ("too_long", "4096 tokens")
