"""Stages of plug-ins: each fault of a declaration or of its query is one line before anything is
loaded, which names the stage and its file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from flows.recipes.extensions import recipe_type
from flows.recipes.loading import load_recipe, shipped_recipes
from flows.recipes.order import stage_order
from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe
from sql.database import QueryFailedError, connect
from sql.pending import RepeatedInputError, check_pending
from tasks.catalog import STAGES
from tasks.errors import UsageError
from tests.fakes import FunctionChat, Reply
from tests.integration.test_runner import ASK, Factory
from tests.unit import sample_corpus as sample

HEAD = """
from dataclasses import dataclass
from litecot import Rationale, Record, Stage, StageConfig

@dataclass(frozen=True, kw_only=True)
class Chain(Record):
    text: str

class Needy(StageConfig):
    a: int
    b: int
    c: int = 0

async def shout(record, ports, config):
    return []

QUERY = "select rationale_id as record_id, problem_id, text from stg_rationales"
BASE = dict(
    reads="zz", writes=Rationale, record=Chain, config=StageConfig, step=shout, query=QUERY,
    upstream=("generate",),
)
"""


pytestmark = pytest.mark.usefixtures("forgotten")


def stage(name: str = "zz", **changes: str) -> str:
    """A declaration; `changes` are Python expressions."""
    text = "".join(f", {key}={value}" for key, value in changes.items())
    return f"STAGE_{name.encode().hex()} = Stage(**{{**BASE, **dict(name={name!r}{text})}})"


def recipe(folder: Path, *stages: str, named: str = '["generate"]') -> Recipe:
    (folder / "mine.py").write_text("\n".join([HEAD, *stages]))
    text = shipped_recipes()["nano"].read_text()
    (folder / "own.toml").write_text(f'plugins = ["./mine.py"]\n{text}')
    return load_recipe(str(folder / "own.toml"), overrides=[f"stages={named}"])


def fault(folder: Path, *stages: str, named: str = '["generate"]') -> str:
    """What a person reads."""
    with pytest.raises(UsageError) as caught:
        draft_plan(recipe(folder, *stages, named=named))
    told = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in told
    assert "./mine.py" in told
    return told


# --- what a declaration knows by itself


@pytest.mark.parametrize("name", ["", "a.b", "3", "Weird Name", "evaluate-mine", "_a", "é", "a\n"])
def test_a_name_is_a_key_of_a_recipe(tmp_path: Path, name: str) -> None:
    told = fault(tmp_path, stage(name))
    assert f"stage {name!r}" in told
    assert "lower case" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"table": "'Weird'"}, "table 'Weird'"),
        ({"phase": "'nope'"}, "phase 'nope': corpus or evaluation"),
        ({"query": "3"}, "query is no text"),
        ({"config": "dict"}, "config is no class derived from StageConfig"),
        ({"config": "StageConfig()"}, "config is no class derived from StageConfig"),
        ({"config": "Needy"}, "Needy: a, b need defaults"),
        ({"record": "dict"}, "record is no class derived from Record"),
        ({"writes": "dict"}, "writes is no row of the corpus"),
        ({"writes": "[]"}, "writes is no row of the corpus"),
        ({"step": "3"}, "step is no function"),
        ({"roles": "('bogus',)"}, "role 'bogus': teacher, compressor or student"),
        ({"roles": "('teacher')"}, "roles is no tuple"),
        ({"upstream": "('generate')"}, "upstream is no tuple"),
        ({"makes": "'long'"}, "makes is no tuple"),
        ({"title": "'{loud} chain'"}, "title '{loud} chain'"),
        ({"title": "'{'"}, "title '{'"),
        ({"title": "'{}'"}, "title '{}'"),
        ({"schema_setting": "'strict'"}, "schema_setting 'strict' is no setting of StageConfig"),
    ],
)
def test_what_a_declaration_knows_by_itself(
    tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    found = fault(tmp_path, stage(**changes))
    assert "stage 'zz'" in found
    assert told in found


def test_a_prompt_of_a_setting_that_is_none_is_refused(tmp_path: Path) -> None:
    prompts = "(__import__('litecot').StepPrompt(step='zz', values=(), setting='tone'),)"
    assert "'tone' is no setting of StageConfig" in fault(tmp_path, stage(prompts=prompts))


# --- what depends on what else there is


@pytest.mark.parametrize(
    "name",
    ["source", "models", "name", "train", "plugins", "estimate", "hygiene", "ingest", "problems",
     "stages", "evaluate", "roles", "settings_of", "model_dump"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["name", "table"])
def test_names_of_the_recipe_are_taken(tmp_path: Path, name: str, key: str) -> None:
    declared = stage(name) if key == "name" else stage(table=repr(name))
    told = fault(tmp_path, declared)
    assert f"'{name}' is taken" in told


def test_a_stage_does_not_join_a_table_of_ours(tmp_path: Path) -> None:
    assert "'select' is taken" in fault(tmp_path, stage(table="'select'"))


def test_a_stage_needs_a_query(tmp_path: Path) -> None:
    assert fault(tmp_path, stage(query="''")).startswith("stage 'zz' (./mine.py): it has no query")


def test_stages_of_one_file_share_a_table_of_one_config(tmp_path: Path) -> None:
    shared = [stage("aa", table="'both'"), stage("bbb", table="'both'", upstream="('aa',)")]
    made = recipe(tmp_path, *shared, named='["both"]')
    assert list(draft_plan(made).stages) == ["aa", "bbb"]


def test_stages_of_one_table_have_one_config(tmp_path: Path) -> None:
    own = "class Other(StageConfig):\n    loud: bool = True\n"
    told = fault(
        tmp_path, stage("aa", table="'both'"), own, stage("b", table="'both'", config="Other")
    )
    assert "stage 'b' (./mine.py): table 'both' is that of stage 'aa'" in told


def test_defaults_that_are_refused_are_one_line(tmp_path: Path) -> None:
    own = (
        "from pydantic import model_validator\n"
        "class Picky(StageConfig):\n"
        "    @model_validator(mode='after')\n"
        "    def check(self):\n"
        "        raise ValueError('never\\nright')\n"
    )
    told = fault(tmp_path, own, stage(config="Picky"))
    assert told.startswith("stage 'zz' (./mine.py): the defaults of Picky:")
    assert "never" in told


# --- upstream


def test_an_upstream_that_is_no_stage_is_named_with_the_nearest(tmp_path: Path) -> None:
    told = fault(tmp_path, stage(upstream="('genrate',)"))
    assert told == (
        "stage 'zz' (./mine.py): upstream: no stage 'genrate' (did you mean 'generate'?); "
        "there are: ingest, generate, verify, difficulty, rewrite, compress, score, select, mix, "
        "measure, train, evaluate-base, evaluate-trained, zz"
    )


@pytest.mark.parametrize(
    ("links", "cycle"),
    [
        ({"aa": "('aa',)"}, "aa -> aa"),
        ({"aa": "('bb',)", "bb": "('cc',  )", "cc": "('aa',   )"}, "-> bb ->"),
    ],
)
def test_a_cycle_is_named(tmp_path: Path, links: dict[str, str], cycle: str) -> None:
    declared = [stage(name, upstream=links[name]) for name in links]
    told = fault(tmp_path, *declared)
    assert "circle" in told
    assert cycle in told


def test_a_stage_goes_behind_another_declared_after_it(tmp_path: Path) -> None:
    recipe(
        tmp_path,
        stage("aa", upstream="('bbb',)"),
        stage("bbb", upstream="('verify',)", title="'t'"),
    )
    order = stage_order()
    assert order.index("verify") < order.index("bbb") < order.index("aa")


def test_a_stage_may_read_what_was_trained(tmp_path: Path) -> None:
    recipe(tmp_path, stage("aa", upstream="('train', 'ingest')"))
    assert stage_order().index("aa") == stage_order().index("train") + 1


def test_a_kind_made_after_it_is_read_is_one_line(tmp_path: Path) -> None:
    declared = stage(upstream="('score',)", makes="('shouted',)")
    (tmp_path / "mine.py").write_text("\n".join([HEAD, declared]))
    text = shipped_recipes()["nano"].read_text()
    (tmp_path / "own.toml").write_text(f'plugins = ["./mine.py"]\n{text}')
    told = "stage 'score' reads chains of kind 'shouted', which stage 'zz' makes after it"
    with pytest.raises(ValueError, match=told):
        load_recipe(
            str(tmp_path / "own.toml"),
            overrides=['stages=["generate", "score", "zz"]', 'score.kinds=["shouted"]'],
        )


# --- its query


SELECT = "select rationale_id as record_id, problem_id, text"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select typo as record_id from stg_rationales", 'column "typo" not found'),
        ("select 1 from nowhere", "Table with name nowhere does not exist"),
        ("selec 1", "syntax error"),
        (" ", "0 statements given"),
        (f"{SELECT} from stg_rationales; select 2", "2 statements given"),
        ("drop view stg_rationales", "DROP is not allowed"),
        ("select rationale_id as record_id, problem_id from stg_rationales", "no column 'text'"),
        (f"{SELECT}, round from stg_rationales", "a column 'round', which is no field of Chain"),
        ("select 1 as record_id, problem_id, text from stg_rationales",
         "'record_id' that is INTEGER, not text"),
        ("select rationale_id as record_id, 2 as problem_id, text from stg_rationales",
         "'problem_id' that is INTEGER, not text"),
        (f"{SELECT}, text from stg_rationales", "'text_1', which is no field of Chain"),
    ],
)  # fmt: skip
def test_a_fault_of_its_query_is_one_line_at_the_plan(
    tmp_path: Path, query: str, told: str
) -> None:
    found = fault(tmp_path, stage(query=repr(query)), named='["generate", "zz"]')
    assert found.startswith("stage 'zz' (./mine.py): its query")
    assert told in found


def test_only_the_queries_of_the_recipe_are_asked(tmp_path: Path) -> None:
    assert "zz" not in draft_plan(recipe(tmp_path, stage(query="'selec 1'"))).stages


def test_a_field_with_a_default_need_not_be_a_column(tmp_path: Path) -> None:
    own = (
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Lax(Chain):\n    mark: str = ''\n\n"
        "class Free(Record):\n    @classmethod\n    def from_row(cls, row): return cls()\n"
    )
    other = "'select problem_id as record_id, problem_id, 1 as more from stg_problems;'"
    declared = [own, stage("a", record="Lax"), stage("bb", record="Free", query=other)]
    plan = draft_plan(recipe(tmp_path, *declared, named='["bb", "a"]'))
    assert set(plan.stages) == {"a", "bb"}


def test_without_stages_from_outside_there_is_nothing_to_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sql.database

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(sql.database, "connect", refuse)
    assert draft_plan(load_recipe("nano")).stages


def test_ours_pass_their_own_checks() -> None:
    assert recipe_type() is Recipe
    assert all(re.fullmatch("[a-z_]+", one.settings) for one in STAGES.values())


# --- what it gives over a corpus


def test_a_record_given_twice_or_without_an_id_is_refused_before_it_is_paid_for(
    tmp_path: Path,
) -> None:
    parts = sample.write_rows(tmp_path / "c", [sample.problem(0), sample.member(sample.P0)])
    with connect(parts) as database:
        database.set_run(sample.RUN_ID, sample.FINGERPRINTS)

        def check(record_id: str, rows: str) -> None:
            query = f"select {record_id} as record_id, problem_id from stg_problems, range({rows})"
            check_pending(
                database, reads="zz", query=query, table="rationales", fingerprint="fp",
                config="{}", shard=None,
            )  # fmt: skip

        check("problem_id", "1")
        with pytest.raises(RepeatedInputError, match=f"2 rows of record_id '{sample.P0}'"):
            check("problem_id", "2")
        with pytest.raises(RepeatedInputError, match="1 rows without a record_id"):
            check("null::varchar", "1")
        with pytest.raises(QueryFailedError, match="Could not convert string"):
            check("cast(problem_id || 'x' as integer)::varchar", "1")


def test_an_open_run_names_the_stage_of_such_a_record(tmp_path: Path) -> None:
    twice = replace(ASK, query="select problem_id as record_id, * from stg_problems, range(2)")
    with Factory(tmp_path / "c").open(FunctionChat(lambda text: Reply(text))) as run:
        stage = replace(run.stages["ask"], stage=twice)
        with pytest.raises(UsageError, match=r"^stage 'ask': its query: gives 2 rows of record_id"):
            run.pending(stage, None)


def test_a_value_that_fails_while_it_is_read_names_the_stage(tmp_path: Path) -> None:
    query = (
        "select problem_id as record_id, problem_id, question, answer, answer_type, "
        "cast(question as integer) as candidates from stg_problems"
    )
    failing = replace(ASK, query=query)
    with Factory(tmp_path / "c").open(FunctionChat(lambda text: Reply(text))) as run:
        stage = replace(run.stages["ask"], stage=failing)
        with pytest.raises(UsageError, match=r"^stage 'ask': its query: .*Could not convert"):
            list(run.pending(stage, None).records)
        fine = replace(ASK, query=query.replace("cast(question as integer)", "['a', 'b']"))
        records = list(run.pending(replace(stage, stage=fine), None).records)
        assert {tuple(record["candidates"]) for record in records} == {("a", "b")}
