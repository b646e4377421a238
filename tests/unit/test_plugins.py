"""Registries and plug-in files: what there is, where it is from, and every refusal in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flows.costs.estimate import estimate
from flows.costs.expected import Inputs, Observed
from flows.recipes.extensions import plugins_in_use
from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe
from tasks.answers import grade
from tasks.answers.kinds import ANSWER_TYPES
from tasks.catalog import STAGES, title_of
from tasks.compress_methods import METHODS
from tasks.plugins import load_plugins, loaded_plugins
from tasks.registry import REGISTRIES, PluginError, Registry

METHOD = """
from dataclasses import dataclass
from pydantic import BaseModel
from litecot import CompressionMethod, CompressionRule

class Options(BaseModel):
    num_tokens: int = 20

@dataclass(frozen=True)
class UntilShort:
    num_tokens: int
    def stop(self, chain_tokens, rounds):
        return "short_enough" if rounds[-1].num_tokens <= self.num_tokens else None
    def kept(self, chain_tokens, rounds):
        return len(rounds)

METHOD = CompressionMethod(
    name="until_short", options=Options, rounds=lambda book, options: 2,
    rule=lambda options: UntilShort(options.num_tokens),
)
"""
ANSWER = """
from litecot import AnswerType

def value(text):
    text = text.strip(" .").upper()
    return text if text and set(text) <= set("IVX") else None

ROMAN = AnswerType(
    name="roman", read=lambda statement: value(statement.value), read_line=value,
    compare=lambda gold, stated, symbolic: value(gold) == value(stated),
)
"""


pytestmark = pytest.mark.usefixtures("forgotten")


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def own_recipe(folder: Path, *lines: str) -> str:
    text = load_path("nano").read_text()
    (folder / "own.toml").write_text("\n".join([*lines, text]))
    return str(folder / "own.toml")


def load_path(name: str) -> Path:
    from flows.recipes.loading import shipped_recipes

    return shipped_recipes()[name]


def test_every_kind_has_built_ins_in_the_order_of_declaration() -> None:
    assert list(METHODS) == [
        "until_rebound", "fixed_rounds", "one_round", "until_ratio", "fixed_ratio"
    ]  # fmt: skip
    assert list(ANSWER_TYPES) == ["math", "integer", "choice", "yes_no", "date", "text"]
    assert {"generate", "evaluate-base", "mix"} <= set(STAGES)
    assert {entry.origin for r in REGISTRIES for entry in r.entries.values()} == {"built-in"}


def test_a_file_is_loaded_once_and_told(tmp_path: Path) -> None:
    assert load_plugins(["mine.py"], beside=Path(write(tmp_path, METHOD)).parent) == [
        "compression method until_short"
    ]
    assert load_plugins([str(tmp_path / "mine.py")]) == []
    assert METHODS.entry("until_short").origin == str(tmp_path / "mine.py")
    assert loaded_plugins() == (str((tmp_path / "mine.py").resolve()),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "declares nothing that litecot knows"),
        ("import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("def f(:", "SyntaxError"),
        (METHOD.replace("until_short", "one_round"), "'one_round' is there already (built-in)"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        load_plugins([write(tmp_path, text)])
    assert told in str(caught.value)
    assert "mine.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"cannot read \./none\.py: there is no /"):
        load_plugins(["./none.py"], beside=tmp_path)


def test_an_edited_file_replaces_what_it_brought(tmp_path: Path) -> None:
    load_plugins([write(tmp_path, METHOD)])
    before = METHODS.entry("until_short").sha
    write(tmp_path, METHOD + "\n# edited")
    load_plugins(["mine.py"], beside=tmp_path)
    assert METHODS.entry("until_short").sha != before


def test_an_entry_point_that_does_not_load_is_told_at_every_look(tmp_path: Path) -> None:
    package = tmp_path / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[litecot.tests]\nx = nothing_there:X\n")
    registry = Registry(
        "test", type(METHODS["one_round"]), folder="tasks.mix", group="litecot.tests"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        for _ in range(2):
            with pytest.raises(PluginError, match=r"broken 1\.0: ModuleNotFoundError"):
                registry["x"]
    finally:
        sys.path.remove(str(tmp_path))
        REGISTRIES.remove(registry)


def test_an_entry_point_joins_its_registry(tmp_path: Path) -> None:
    package = tmp_path / "fine-2.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: fine\nVersion: 2.0\n")
    (package / "entry_points.txt").write_text("[litecot.tests]\nx = fine_methods:METHOD\n")
    (tmp_path / "fine_methods.py").write_text(METHOD)
    registry = Registry(
        "test", type(METHODS["one_round"]), folder="tasks.mix", group="litecot.tests"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        entry = registry.entry("until_short")
        assert (entry.origin, len(entry.sha)) == ("fine 2.0", 16)
    finally:
        sys.path.remove(str(tmp_path))
        REGISTRIES.remove(registry)


def test_a_misspelt_name_is_told_its_neighbour() -> None:
    with pytest.raises(PluginError, match=r"did you mean 'until_rebound'\?"):
        METHODS["until_rebond"]


def test_a_recipe_brings_a_method_with_its_own_options(tmp_path: Path) -> None:
    write(tmp_path, METHOD)
    recipe = load_recipe(
        own_recipe(tmp_path, 'plugins = ["./mine.py"]'),
        overrides=["compress.method=until_short", "compress.options={num_tokens=7}"],
    )
    assert recipe.compress.rule().rule.num_tokens == 7  # type: ignore[attr-defined]
    assert plugins_in_use(recipe) == ["compression method until_short (./mine.py)"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["compress.method=until_shrt"], "no compression method 'until_shrt'"),
        (["compress.options={depth=1}"], "method 'until_rebound' has no options"),
    ],
)
def test_a_recipe_that_misuses_one_is_one_line(
    tmp_path: Path, overrides: list[str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        load_recipe("nano", overrides=overrides)


def test_the_source_of_a_plug_in_is_in_the_fingerprints_behind_it(tmp_path: Path) -> None:
    write(tmp_path, METHOD)
    own = own_recipe(tmp_path, 'plugins = ["./mine.py"]')
    unused = draft_plan(load_recipe(own)).fingerprints
    assert unused == draft_plan(load_recipe("nano")).fingerprints
    use = ["compress.method=until_short"]
    before = draft_plan(load_recipe(own, overrides=use)).fingerprints
    write(tmp_path, METHOD + "\n# one more line")
    after = draft_plan(load_recipe(own, overrides=use)).fingerprints
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"compress", "score", "select", "mix", "train", "evaluate-trained"}


def test_an_edited_answer_type_changes_what_it_graded(tmp_path: Path) -> None:
    write(tmp_path, ANSWER)
    own = own_recipe(tmp_path, 'plugins = ["./mine.py"]')
    before = draft_plan(load_recipe(own)).fingerprints
    write(tmp_path, ANSWER + "\n# edited")
    after = draft_plan(load_recipe(own)).fingerprints
    assert {name for name in before if before[name] == after[name]} == {"ingest"}


def test_an_answer_type_from_outside_reads_and_compares(tmp_path: Path) -> None:
    load_plugins([write(tmp_path, ANSWER)])
    graded = grade("so the answer is xiv.", answer="XIV", answer_type="roman", truncated=False)
    assert (graded.verdict, graded.extracted_answer) == ("correct", "XIV")
    wrong = grade("the answer is XV", answer="XIV", answer_type="roman", truncated=False)
    assert wrong.verdict == "wrong"
    recipe = load_recipe("nano", overrides=["source.answer_type=roman"])
    assert recipe.source.answer_type == "roman"
    with pytest.raises(ValueError, match="no answer type 'romann'"):
        load_recipe("nano", overrides=["source.answer_type=romann"])


STAGE = """
from litecot import Rationale, Record, Stage, StageConfig
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Chain(Record):
    text: str

async def shout(record, ports, config):
    text = record.text.upper()
    return [Rationale(problem_id=record.problem_id, parent_id=record.record_id, kind="shouted",
                      model="shout", engine="none", text=text, finish_reason="stop",
                      num_tokens=ports.tokens.count(text), verdict="correct")]

STAGE = Stage(
    name="shout", reads="shout", writes=Rationale, record=Chain, config=StageConfig, step=shout,
    upstream=("generate",), makes=("shouted",), roles=("teacher",),
    query="select rationale_id as record_id, problem_id, text from stg_rationales"
    " where kind = 'long'",
)
"""


def shouting(folder: Path, *overrides: str) -> Recipe:
    write(folder, STAGE)
    stages = '["generate", "shout", "score", "select", "mix"]'
    own = own_recipe(folder, 'plugins = ["./mine.py"]')
    return load_recipe(own, overrides=[f"stages={stages}", *overrides])


def test_a_stage_from_outside_has_a_table_a_place_in_the_order_and_a_fingerprint(
    tmp_path: Path,
) -> None:
    recipe = shouting(tmp_path, "shout.prompt=default", 'score.kinds=["shouted"]')
    plan = draft_plan(recipe)
    assert list(plan.fingerprints) == ["ingest", "generate", "shout", "score", "select", "mix"]
    assert plan.stages["shout"].models["teacher"].model == "nano:teacher"
    assert title_of("shouted") == "{kind}"
    with pytest.raises(ValueError, match=r"shout\.loud: unknown key; known are prompt"):
        shouting(tmp_path, "shout.loud=true")
    with pytest.raises(ValueError, match="generate, shout, verify"):
        load_recipe(str(tmp_path / "own.toml"), overrides=['stages=["shout", "generate"]'])


def test_what_reads_the_chains_of_a_stage_from_outside_depends_on_it(tmp_path: Path) -> None:
    reading = 'score.kinds=["shouted"]'
    before = draft_plan(shouting(tmp_path, reading)).fingerprints
    after = draft_plan(shouting(tmp_path, reading, "shout.prompt=nano")).fingerprints
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"shout", "score", "select", "mix"}
    before = draft_plan(shouting(tmp_path, 'score.kinds=["long"]')).fingerprints
    after = draft_plan(shouting(tmp_path, 'score.kinds=["long"]', "shout.prompt=nano")).fingerprints
    assert {name for name in before if before[name] != after[name]} == {"shout"}


def test_a_stage_that_does_not_say_what_it_asks_is_told_not_estimated(tmp_path: Path) -> None:
    found = estimate(
        shouting(tmp_path), inputs=Inputs(num_problems=3), observed=Observed(),
        parameters=lambda config: None, on_gpu=lambda config: False,
    )  # fmt: skip
    assert found.unknown == ("shout",)
    assert [cost.stage for cost in found.stages] == ["generate", "score"]


@pytest.mark.parametrize("key", ["score.kinds", "select.original_kinds"])
def test_a_kind_that_no_stage_makes_is_one_line(key: str) -> None:
    told = "no stage makes chains of kind 'whispered'; there are: long, rewritten, compressed"
    with pytest.raises(ValueError, match=told):
        load_recipe("nano", overrides=[f'{key}=["whispered"]'])


BROKEN = {
    "two of a name": (METHOD + METHOD.replace("METHOD = ", "OTHER = "), "declares two of"),
    "an odd name": (METHOD.replace('"until_short"', '"Until Short"'), "a name is lower case"),
    "it leaves": (METHOD + "\nimport sys; sys.exit(0)", "mine.py:22: SystemExit: 0"),
    "it raises": (METHOD + "\n1 / 0", "mine.py:22: ZeroDivisionError"),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.values(), ids=BROKEN)
def test_a_faulty_edit_is_told_and_a_mended_one_counts(
    tmp_path: Path, text: str, told: str
) -> None:
    load_plugins([write(tmp_path, METHOD)])
    with pytest.raises(PluginError) as caught:
        load_plugins([write(tmp_path, text)])
    assert told in str(caught.value)
    assert "until_short" in METHODS  # as it was, until the file can be read again
    assert load_plugins([write(tmp_path, METHOD)]) == ["compression method until_short"]


def test_two_files_of_one_spelling_are_two(tmp_path: Path) -> None:
    for folder, name in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, METHOD.replace("until_short", name))
        load_plugins(["./mine.py"], beside=tmp_path / folder)
    write(tmp_path / "a", METHOD.replace("until_short", "three"))
    load_plugins(["./mine.py"], beside=tmp_path / "a")
    assert {"two", "three"} <= set(METHODS)
    assert "one" not in METHODS


def test_the_last_spelling_is_told(tmp_path: Path) -> None:
    load_plugins([write(tmp_path, METHOD)])
    load_plugins(["./mine.py"], beside=tmp_path)
    assert METHODS.entry("until_short").origin == "./mine.py"


def test_other_things_at_the_top_of_a_file_are_nobodys_business(tmp_path: Path) -> None:
    class_ = "class Odd:\n    __hash__ = None\nodd = Odd()\nDEFAULTS = ('a', [1, 2])\n"
    assert load_plugins([write(tmp_path, METHOD + class_)]) == ["compression method until_short"]


@pytest.mark.parametrize("name", ["a\0b", "loop", ".", "/dev/zero"])
def test_what_is_no_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(PluginError, match="plugins: "):
        load_plugins([name], beside=tmp_path)


@pytest.mark.parametrize("engine", ["[1]", "{a=1}", "3"])
def test_an_engine_that_is_no_name_is_one_line(engine: str) -> None:
    with pytest.raises(ValueError, match=r"models\.student\.engine"):
        load_recipe("nano", overrides=[f"models.student.engine={engine}"])
