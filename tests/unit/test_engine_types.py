"""What engines say about themselves, who asks it, and engines from outside: a line a mistake."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan, run_plan
from flows.recipes.recipe import RecipeError
from infra.engines import (
    ENGINES,
    EngineConfig,
    EngineType,
    ModelFilesError,
    Needs,
    engine_identity,
    engine_sha,
    model_fingerprint,
    open_engine,
)
from infra.engines.engine_type import ModelSize
from infra.engines.model_size import size_of
from infra.hosting.process import EngineProcess
from infra.placement.footprints import PlacementError
from infra.placement.plan import StageDemand, place, read_nodes
from infra.runs.models import RunModels
from infra.settings import Settings
from tasks.plugins import loaded_plugins
from tasks.ports import Prompt, Sampling
from tests.fakes import ScriptedChat
from tests.own_engine import DOCUMENT, loaded, own_engine

ROOT = DOCUMENT.parents[1]
FOLDERS = ("flows", "infra", "tasks")
NAMES = re.compile(r"""["'](vllm|endpoint|transformers)["']|\bfor_vllm\b""")
QUESTION = "Today is Monday.\n1) later 3\n2) back 1\nWhich day is it then?"


@pytest.fixture
def solver(tmp_path: Path) -> Iterator[Path]:
    """The engine of the documents, loaded."""
    path = tmp_path / "solver.py"
    with loaded(path, own_engine()):
        yield path


def recipe(*overrides: str, name: str = "nano") -> Any:
    return load_recipe(name, overrides=overrides)


def refusal(*overrides: str, name: str = "nano") -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(*overrides, name=name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def config_error(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        EngineConfig.model_validate({"model": "rules", **fields})
    (error,) = caught.value.errors()
    return error["msg"]


# --- declarations


def test_the_documents_say_what_the_declarations_say() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition("## What an engine says about itself")[2].partition("\n- ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == [_row(ENGINES[name]) for name in ENGINES]


def _row(engine: EngineType) -> str:
    config = EngineConfig.model_validate(
        {"engine": engine.name, "model": "m"}
        | ({"endpoint": {"base_url": "http://10.0.0.1/v1"}} if not engine.is_hosted else {})
    )
    words = {True: "yes", False: "no"}
    return "| " + " | ".join([
        f"`{engine.name}`", "in our actors" if engine.is_hosted else "at a server",
        words[engine.has_checkpoint], words[engine.can_score], words[engine.can_hold_schema],
        words[engine.needs.gpus(config) > 0], words[engine.needs.sleep is not None],
        f"`[models.ROLE.{engine.name}]`" if engine.options else "none",
    ]) + " |"  # fmt: skip


def test_looking_at_the_engines_loads_none_of_them() -> None:
    code = (
        "from infra.engines import ENGINES; print(*ENGINES); import sys;"
        "heavy = ('torch', 'transformers', 'vllm', 'aiohttp', 'ray');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["transformers vllm endpoint", "[]"], done.stderr


def test_nobody_asks_an_engines_name() -> None:
    """But packages are named: what doctor looks for, whose versions a run notes."""
    packages = {"flows/cli/doctor.py", "infra/runs/intake.py", "infra/runs/versions.py"}
    own = re.compile(r"infra/engines/(\w+/|config\.py)")
    names = [str(path.relative_to(ROOT)) for f in FOLDERS for path in (ROOT / f).rglob("*.py")]
    asking = [
        name
        for name in names
        if name not in packages and not own.match(name) and NAMES.search(code_of(ROOT / name))
    ]
    assert asking == []
    assert NAMES.search(code_of(ROOT / "infra/engines/config.py"))


def code_of(path: Path) -> str:
    """Without docstrings."""
    return re.sub(r'"""(.*?)"""', "", path.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "declare one of open and connect"),
        ({"open": len, "connect": len}, "declare one of open and connect"),
        ({"open": len, "options": BaseModel}, 'BaseModel needs model_config = ConfigDict(frozen'),
    ],
)  # fmt: skip
def test_a_declaration_that_contradicts_itself(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        EngineType(name="odd", **fields)


def test_what_is_not_declared_is_modest() -> None:
    plain = EngineType(name="plain", open=open_engine)
    config = EngineConfig(model="m", device="cuda")
    assert not any([plain.has_checkpoint, plain.can_score, plain.can_hold_schema])
    assert not plain.is_on_gpu(config, has_gpus=True)
    assert plain.title == "plain"


@given(st.sampled_from(["auto", "cpu", "cuda"]), st.booleans(), st.integers(0, 8))
def test_an_engine_is_on_gpus_only_if_it_takes_some(device: Any, has: bool, gpus: int) -> None:
    engine = EngineType(name="x", open=open_engine, needs=Needs(gpus=lambda config: gpus))
    config = EngineConfig(model="m", device=device)
    expected = gpus > 0 and (device == "cuda" or (device == "auto" and has))
    assert engine.is_on_gpu(config, has_gpus=has) is expected


# --- configurations


def test_a_recipe_without_engines_from_outside_is_written_as_ever() -> None:
    written = json.loads(EngineConfig(model="a/b").model_dump_json())
    assert list(written)[-2:] == ["vllm", "endpoint"]
    assert EngineConfig(**EngineConfig(model="a/b").model_dump()) == EngineConfig(model="a/b")


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({}, "a/b@main transformers auto None"),
        ({"engine": "vllm", "max_model_len": 9, "revision": "r"}, "a/b@r vllm auto 9"),
        ({"engine": "vllm", "vllm": {"quantization": "awq"}}, "a/b@main vllm auto None awq"),
        (
            {"engine": "endpoint", "endpoint": {"base_url": "http://h/v1/"}},
            "a/b@http://h/v1 endpoint auto None",
        ),
    ],
)
def test_the_identity_of_an_engine_of_ours_stays(fields: dict[str, Any], identity: str) -> None:
    config = EngineConfig(model="a/b", **fields)
    assert engine_identity(config) == identity
    assert engine_sha(config) == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"engine": "vlm"}, "no engine 'vlm': did you mean 'vllm'? there are transformers, vllm"),
        ({"engine": "abacus", "abacus": {"x": 1}}, "no engine 'abacus': there are transformers,"),
        ({"vllm": {}}, "the table 'vllm' goes with engine = 'vllm'"),
        ({"engine": "endpoint"}, "engine 'endpoint' needs endpoint.base_url"),
        ({"engine": "vllm", "options": {"x": 1}}, "options of engine 'vllm' are in the table"),
        ({"options": {"x": 1}}, "engine 'transformers' has no options"),
    ],
)
def test_wrong_engines_and_tables(fields: dict[str, Any], words: str) -> None:
    assert words in config_error(**fields)


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"solver": {"opner": "x"}}, "solver.opner: unknown key; known are opener"),
        ({"solver": {"opener": 3}}, "solver.opener: Input should be a valid string"),
        ({"solver": {"opener": "x"}, "options": {"opener": "y"}}, "are given twice"),
        ({"solver": 3}, "solver: Input should be a valid dictionary"),
        ({"engine": "transformers", "solver": {}}, "the table 'solver' goes with engine"),
    ],
)
def test_wrong_options_of_an_engine_from_outside(fields: dict[str, Any], words: str) -> None:
    assert words in config_error(**{"engine": "solver", **fields})


@pytest.mark.usefixtures("solver")
def test_options_from_outside_are_checked_filled_in_hashed_and_travel() -> None:
    bare = EngineConfig(engine="solver", model="rules")
    said = EngineConfig(engine="solver", model="rules", solver={"opener": "Hm."})  # type: ignore[call-arg]
    assert bare.options == {"opener": "Let me count."}
    assert EngineConfig(**said.model_dump()) == said
    assert EngineConfig.model_validate_json(said.model_dump_json()) == said
    assert pickle.loads(pickle.dumps(said)) == said
    assert {bare: 1, said: 2}[said.model_copy()] == 2
    assert len({bare, said}) == 2


# --- recipes


def test_an_unknown_engine_is_named_with_the_nearest() -> None:
    line = refusal("models.teacher.engine=vlm")
    assert line.startswith("recipe nano.toml: models.teacher.engine: no engine 'vlm': did you mean")


@pytest.mark.usefixtures("solver")
def test_an_option_set_on_the_command_line() -> None:
    made = recipe(
        "models.teacher.engine=solver", "models.teacher.model=rules",
        "models.teacher.solver.opener=Hm.",
    )  # fmt: skip
    assert made.models.teacher.options == {"opener": "Hm."}
    back = recipe("models.teacher.solver.opener=Hm.", "models.teacher.engine=transformers")
    assert back.models.teacher.options == {}
    line = refusal("models.teacher.engine=solver", "models.teacher.solver.opner=Hm.")
    assert line == "recipe nano.toml: models.teacher: solver.opner: unknown key; known are opener"


@pytest.mark.usefixtures("solver")
def test_a_student_without_a_checkpoint_cannot_be_trained() -> None:
    line = refusal("models.student.engine=solver", "models.student.model=rules")
    assert "engine 'solver' has no checkpoint for that" in line
    assert line.endswith("with engine = 'transformers' or 'vllm'")


def test_a_student_that_cannot_score_is_refused_where_it_is_scored(tmp_path: Path) -> None:
    mute = own_engine().replace('name="solver"', 'name="mute", has_checkpoint=True')
    with loaded(tmp_path / "mute.py", mute):
        line = refusal("models.student.engine=mute")
        assert "stage 'score' reads with it, and engine 'mute' cannot score" in line
        assert line.endswith("set engine = 'transformers' or 'vllm'")
        assert recipe("models.student.engine=mute", 'stages=["generate", "mix"]')


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("engine", ["transformers", "solver"])
def test_a_teacher_that_cannot_hold_a_schema(engine: str) -> None:
    line = refusal(f"models.teacher.engine={engine}", "difficulty.structured=true")
    assert f"the teacher's engine '{engine}' cannot hold a reply to a schema" in line
    assert "set models.teacher.engine = 'vllm' or 'endpoint', or leave it out" in line


@pytest.mark.usefixtures("solver")
def test_its_own_check_speaks_before_anything_starts() -> None:
    made = recipe("models.teacher.engine=solver", 'stages=["generate"]')
    with pytest.raises(ModelFilesError, match="one model, 'rules', and not 'nano:teacher'"):
        run_plan(made)


def test_an_engine_may_derive_from_one_of_ours(tmp_path: Path) -> None:
    source = """
from dataclasses import replace
from infra.engines.transformers.declaration import TRANSFORMERS
MINE = replace(TRANSFORMERS, name="mine", can_hold_schema=True)
"""
    with loaded(tmp_path / "mine.py", source) as found:
        assert found == ["engine mine"]
        made = recipe("models.teacher.engine=mine", "difficulty.structured=true")
        plan = run_plan(made)
    ours = run_plan(recipe())
    assert plan.fingerprints["generate"] != ours.fingerprints["generate"]


# --- fingerprints


def test_source_and_options_of_an_engine_from_outside_are_in_the_fingerprints(
    tmp_path: Path,
) -> None:
    def fingerprint(number: int, source: str, opener: str = "Hm.") -> str:
        given = [
            "models.teacher.engine=solver", "models.teacher.model=rules",
            f"models.teacher.solver.opener={opener}",
        ]  # fmt: skip
        with loaded(tmp_path / f"solver{number}.py", source):
            return draft_plan(recipe(*given)).fingerprints["generate"]

    first = fingerprint(1, own_engine())
    assert fingerprint(2, own_engine()) == first  # what it holds, not where it lies
    assert fingerprint(3, own_engine() + "\n# edited") != first
    assert fingerprint(4, own_engine(), opener="So.") != first


@pytest.mark.usefixtures("solver")
def test_a_model_without_files_is_known_by_its_name() -> None:
    config = EngineConfig(engine="solver", model="rules-7b")
    assert model_fingerprint(config) == "rules-7b"
    assert model_fingerprint(config.model_copy(update={"revision": "2"})) == "rules-7b@2"
    assert size_of(config) is None


# --- placement


SIZED = """
from dataclasses import replace
from infra.engines import EngineType, Needs
from infra.engines.engine_type import ModelSize

BIG = EngineType(
    name="big", label="Big", open=print,
    needs=Needs(
        gpus=lambda config: 2, gpu_share=lambda config: 0.5,
        size=lambda config: ModelSize(num_parameters=10**9, stored_bytes=40 * 2**30),
        weights=lambda config, size, on_gpu: size.stored_bytes * 2,
    ),
)
"""


def test_an_engine_from_outside_is_placed_by_its_own_footprint(tmp_path: Path) -> None:
    with loaded(tmp_path / "big.py", SIZED):
        config = EngineConfig(engine="big", model="any")
        sizes = {config: size_of(config)}
        stages = [StageDemand(name="generate", models={"teacher": config})]
        found = place(stages, sizes=sizes, nodes=read_nodes("1x2x141"))
        assert found.words == (
            "teacher any: 1 replica, on 2 GPUs (Big, tensor parallel 2), weights 80.0 GiB",
        )
        with pytest.raises(PlacementError) as caught:
            place(stages, sizes=sizes, nodes=read_nodes("1x2x80"))
        assert str(caught.value).endswith(
            "the cache needs room too: use a smaller model, larger GPUs or an endpoint"
        )


def test_only_engines_that_all_sleep_share_a_gpu_by_sleep(tmp_path: Path) -> None:
    teacher = EngineConfig(engine="vllm", model="t-14B")
    size = ModelSize(num_parameters=10**9, stored_bytes=30 * 2**30)
    with loaded(tmp_path / "big.py", SIZED.replace("gpus=lambda config: 2", "gpus=lambda c: 1")):
        other = EngineConfig(engine="big", model="any")
        stages = [
            StageDemand(name="generate", models={"teacher": teacher}),
            StageDemand(name="compress", models={"compressor": other}),
        ]
        found = place(stages, sizes={teacher: size, other: None}, nodes=read_nodes("1x1x80"))
        assert found.mode == "turns"
        student = EngineConfig(engine="vllm", model="s-14B")
        stages[1] = replace(stages[1], models={"compressor": student})
        found = place(stages, sizes={teacher: size, student: size}, nodes=read_nodes("1x1x80"))
        assert found.mode == "sleep"
        assert "in vLLM's sleep mode" in found.words[-1]


# --- hosting


async def test_the_process_of_an_engine_loads_the_files_it_needs(solver: Path) -> None:
    config = EngineConfig(engine="solver", model="rules")
    files, sha = loaded_plugins(), engine_sha(config)
    assert str(solver.resolve()) in files
    process = EngineProcess(config, plugins=files, source=sha)
    await process.load()
    (reply,) = await process.complete(Prompt(text=QUESTION), Sampling())
    assert reply.text.splitlines()[-1] == "The answer is Wednesday."
    solver.write_text(own_engine() + "\n# edited meanwhile\n")
    with pytest.raises(ModelFilesError, match="has changed since this run began"):
        await EngineProcess(config, plugins=files, source=sha).load()


async def test_an_engine_at_a_server_is_asked_from_here_and_closed(tmp_path: Path) -> None:
    source = """
from infra.engines import EngineType
from tests.unit.test_engine_types import Served
SERVED = EngineType(name="served", connect=Served, can_hold_schema=True)
"""
    with loaded(tmp_path / "served.py", source):
        config = EngineConfig(engine="served", model="m")
        models = RunModels(Settings(), secrets={"block": "key"})
        model = models.model(config)
        assert models.model(config.model_copy()) is model
        assert isinstance(model, Served)
        assert (await model.complete(Prompt(text="?"), Sampling()))[0].text == "block=key"
        models.close()
        assert model.is_closed


class Served(ScriptedChat):
    """A ServedModel that says which keys it was given."""

    def __init__(self, config: EngineConfig, secrets: dict[str, str]) -> None:
        said = ", ".join(f"{name}={key}" for name, key in secrets.items())
        super().__init__([said], name=config.model, engine=config.engine)
        self.is_closed = False

    async def score(self, request: object) -> list[Any]:
        raise NotImplementedError("this model only writes")

    def close(self) -> None:
        self.is_closed = True
