"""Recipes and their plans: clear refusals, and fingerprints that change when they must."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli.main import app
from flows.cli.run.columns import column_overrides
from flows.recipes.loading import load_recipe, shipped_recipes
from flows.recipes.plan import draft_plan, run_plan
from flows.recipes.recipe import RecipeError
from flows.session import Order, resolve_recipe
from infra.engines import ModelFilesError
from infra.placement.plan import read_nodes
from infra.runs.plan import RunPlan

ROOT = Path(__file__).parents[2]
STAGES = [
    "generate", "difficulty", "rewrite", "compress", "score", "select", "mix", "train", "evaluate",
]  # fmt: skip
AFTER_SCORE = {"score", "select", "mix", "train", "evaluate-trained"}
AFTER_COMPRESS = {"compress", *AFTER_SCORE}
AFTER_REWRITE = {"rewrite", *AFTER_COMPRESS}
AFTER_GENERATE = {"generate", "difficulty", *AFTER_REWRITE}
GLOBAL = {"ingest", "select", "mix", "train", "evaluate-trained"}


def save_model(folder: Path, weights: str = "weights") -> Path:
    """Files that look like a model's: planning hashes them and loads nothing."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    header = json.dumps({"__metadata__": {"weights": weights}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """A recipe of all stages on two models of its own."""
    for role in ("teacher", "student"):
        save_model(tmp_path / role, weights=role)
    (tmp_path / "problems.jsonl").write_text('{"question": "2 + 2 = ?", "answer": "4"}\n')
    (tmp_path / "held_out.jsonl").write_text('{"question": "2 + 3 = ?", "answer": "5"}\n')
    path = tmp_path / "mine.toml"
    path.write_text(
        f"""
        name = "mine"
        stages = {json.dumps(STAGES)}
        problems = ["{tmp_path}/problems.jsonl"]
        [models.teacher]
        model = "{tmp_path}/teacher"
        [models.student]
        model = "{tmp_path}/student"
        [evaluate]
        problems = ["{tmp_path}/held_out.jsonl"]
        """
    )
    return str(path)


def plan(recipe: str, *overrides: str, **fields: Any) -> RunPlan:
    return run_plan(load_recipe(recipe, overrides=overrides, **fields))


def changed(recipe: str, *overrides: str, **fields: Any) -> set[str]:
    """Stages whose fingerprint differs from that of the recipe as it is."""
    before = plan(recipe).fingerprints
    after = plan(recipe, *overrides, **fields).fingerprints
    return {name for name in before if before[name] != after[name]}


def refusal(name: str, *overrides: str, **fields: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        run_plan(load_recipe(name, overrides=overrides, **fields))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- reading


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_parses(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_fits_the_machine_it_is_sized_for(name: str) -> None:
    placement = draft_plan(load_recipe(name)).place(read_nodes("1x8x80"))
    staged = [stage for phase in placement.phases for stage in phase.stages]
    assert staged == list(draft_plan(load_recipe(name)).fingerprints)[1:]
    assert not any("asked for and" in line and "fit" in line for line in placement.words)


@pytest.mark.parametrize("name", ["litecot", "liter-1.5b", "liter-7b", "liter-32b"])
def test_two_such_machines_hold_all_models(name: str) -> None:
    plan = draft_plan(load_recipe(name))
    assert plan.place(read_nodes("1x8x80")).mode == "turns"
    assert plan.place(read_nodes("2x8x80")).mode == "together"


def test_the_target_and_its_teacher_share_replicas_in_macc() -> None:
    models = load_recipe("macc").models
    assert models.teacher == models.student


@pytest.mark.parametrize(("name", "epochs"), [("1.5b", 2), ("7b", 3), ("32b", 3)])
def test_liter_trains_as_published(name: str, epochs: int) -> None:
    """The brief's values; the repository's where the brief has none (METHODS 1.6)."""
    train = load_recipe(f"liter-{name}").train
    assert (train.epochs, train.learning_rate, train.warmup_ratio) == (epochs, 5e-5, 0.1)
    assert (train.lr_scheduler, train.min_lr_rate) == ("cosine", 0.1)
    assert (train.rope_theta, train.max_length, train.seed) == (100_000, 8192, 233)
    assert (train.dtype, train.lora) == ("bfloat16", None)
    assert train.zero.startswith("zero3") or name == "1.5b"


def test_macc_and_morsd_as_published() -> None:
    macc, morsd = load_recipe("macc"), load_recipe("morsd-7b")
    assert macc.train.lora is not None
    assert (macc.train.lora.rank, macc.train.lora.alpha) == (8, 16)
    assert (macc.train.learning_rate, macc.train.epochs) == (5e-5, 3)
    assert (macc.compress.source, macc.compress.method) == ("long", "until_rebound")
    assert macc.select.with_compressed
    for recipe in (morsd, load_recipe("morsd")):
        assert (recipe.select.keep_fraction, recipe.select.max_rd) == (0.3, 1.0)
    assert morsd.generate.num_candidates > morsd.select.keep_per_problem  # type: ignore[operator]


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_rewrite_of_the_longest_chain_fits_the_teacher(name: str) -> None:
    recipe = load_recipe(name)
    teacher = recipe.models.teacher
    if teacher is None or teacher.max_model_len is None:
        pytest.skip("the model's own length")
    if "rewrite" in recipe.stages:
        needed = recipe.generate.max_tokens + recipe.rewrite.max_tokens
        assert needed + 2048 <= teacher.max_model_len  # the question and the prompt's words
    assert recipe.generate.max_tokens + 2048 <= teacher.max_model_len


def test_a_wrong_key_is_named_with_the_known_ones() -> None:
    message = refusal("nano", "generate.temprature=0.5")
    assert message.startswith("recipe nano.toml: generate.temprature: unknown key; known are ")
    assert "temperature" in message


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("generat.x", "generate"), ("models.teacher.modle", "model"), ("models.judge", "teacher"),
        ("train.lora.rnk", "rank"), ("source.columns.qestion", "question"),
    ],
)  # fmt: skip
def test_wrong_keys_at_any_depth(key: str, known: str) -> None:
    message = refusal("macc", f"{key}=1")
    assert "unknown key; known are" in message
    assert known in message.split("known are")[1]


def test_an_unknown_recipe_names_the_shipped_ones() -> None:
    assert refusal("nanno").startswith("no recipe 'nanno'; shipped are evaluate, ")
    assert refusal("mine.toml") == "no recipe file mine.toml"


def test_broken_toml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("name = ")
    assert str(path) in refusal(str(path))


def test_stages_must_be_in_order() -> None:
    for stages in ('["mix", "generate"]', '["mix", "mix"]', "[]"):
        assert "stages must be some of, in this order: generate, verify" in refusal(
            "nano", f"stages={stages}"
        )


def test_an_unknown_stage_is_refused_in_one_line() -> None:
    assert "no stage 'genrate' (did you mean 'generate'?); there are: generate, " in refusal(
        "nano", 'stages=["genrate"]'
    )


def test_a_stage_without_its_model_is_refused() -> None:
    assert "stage 'generate' needs models.teacher" in refusal("morsd", 'stages=["generate"]')
    assert "models.student" in refusal("morsd", "models={}")


def test_evaluation_needs_problems() -> None:
    assert "stage 'evaluate' needs evaluate.problems" in refusal("nano", "evaluate.problems=[]")


def test_a_recipe_without_problems_says_how_to_give_some(recipe: str) -> None:
    assert "--problems" in refusal(recipe, "problems=[]")


def test_a_student_behind_an_endpoint_is_refused() -> None:
    student = '{engine = "endpoint", model = "m", endpoint = {base_url = "http://10.0.0.1/v1"}}'
    assert "models.student: its tokenizer counts tokens" in refusal(
        "nano", f"models.student={student}"
    )


def test_another_engine_leaves_the_first_ones_options_behind() -> None:
    recipe = load_recipe("liter-7b", overrides=["models.teacher.engine=transformers"])
    assert recipe.models.teacher is not None
    assert recipe.models.teacher.vllm is None
    url = "models.teacher.endpoint.base_url=http://10.0.0.1/v1"
    remote = load_recipe("liter-7b", overrides=[url, "models.teacher.engine=endpoint"])
    assert remote.models.teacher is not None
    assert remote.models.teacher.endpoint is not None


def test_an_unknown_prompt_is_a_refusal_that_names_the_key(recipe: str) -> None:
    message = refusal(recipe, "rewrite.prompt=poem")
    assert message.startswith("rewrite.prompt: no prompt 'poem' for step 'rewrite'; there are: ")


def test_a_model_that_is_not_there_is_named(recipe: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="no such folder"):
        plan(recipe, f"models.teacher.model={tmp_path}/nowhere")


def test_the_teacher_compresses_where_no_compressor_is_named(recipe: str) -> None:
    models = plan(recipe).stages["compress"].models
    assert models["compressor"].model.endswith("/teacher")


def test_imported_rationales_need_the_stage_that_reads_them() -> None:
    with pytest.raises(RecipeError, match="writes its own rationales"):
        resolve_recipe(Order(recipe="nano", rationales=("traces.jsonl",)))
    source = resolve_recipe(Order(recipe="morsd", rationales=("traces.jsonl",))).source
    assert source.candidates == "require"


# --- --set


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("generate.num_candidates=8", 8), ("generate.temperature = 1e-1", 0.1),
        ("train.gradient_checkpointing=true", True), ("models.teacher.model=me/mine", "me/mine"),
        ("models.teacher.model='me/mine'", "me/mine"),
        ("models.teacher.model=nano:teacher", "nano:teacher"),
        ('score.kinds=["long"]', ("long",)), ("select.max_rd=inf", float("inf")),
        ("train.lora.rank=4", 4), ("description=a = b", "a = b"), ("description=", ""),
    ],
)  # fmt: skip
def test_set_reads_values_as_toml_or_text(override: str, value: object) -> None:
    found: Any = load_recipe("macc", overrides=[override])
    for part in override.partition("=")[0].strip().split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", "write key=value"), ("=3", "write key=value"),
        ("name.first=x", "'name' is a value, not a table"), ("seed=many", "seed: "),
        ("generate.num_candidates=0", "generate.num_candidates: "), ("limit=-1", "limit: "),
    ],
)  # fmt: skip
def test_wrong_settings_name_the_key(override: str, words: str) -> None:
    assert words in refusal("nano", override)


def test_the_last_setting_wins_and_flags_win_over_settings() -> None:
    recipe = load_recipe("nano", overrides=["seed=1", "seed=2", "limit=3"], seed=5, limit=None)
    assert (recipe.seed, recipe.limit) == (5, 3)


@pytest.mark.parametrize("name", ["q", "the question", 'a "b"', "a.b", "frage_é", "😀", "a\\b"])
def test_column_flags_arrive_as_they_were_typed(name: str) -> None:
    overrides = column_overrides(
        question=[name], answer=None, options=None, candidates=[name, "c"], correct=None,
        candidate_model=None, subject=[name, "s"], answer_type_column=None, answer_type="math",
    )  # fmt: skip
    source = load_recipe("morsd", overrides=overrides).source
    assert source.columns.question == name
    assert list(source.columns.candidates) == [name, "c"]
    assert source.columns.subject == (name, "s")
    assert (source.columns.answer, source.answer_type) == (None, "math")


def test_every_column_flag_that_a_message_names_is_there_and_may_be_repeated() -> None:
    sources = (ROOT / "tasks" / "intake").glob("*.py")
    named = {flag for path in sources for flag in re.findall(r"--[a-z-]+-column", path.read_text())}
    options = {
        name: option
        for option in typer.main.get_command(app).commands["run"].params  # type: ignore[attr-defined]
        for name in option.opts
    }
    assert len(named) == 8
    assert {name for name in named if options[name].multiple} == named


# --- fingerprints


def test_the_same_recipe_is_the_same_run(recipe: str) -> None:
    assert plan(recipe).run_id == plan(recipe).run_id
    assert plan(recipe).fingerprints == plan(recipe).fingerprints


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("generate.temperature=0.1", AFTER_GENERATE),
        ("generate.prompt=nano", AFTER_GENERATE),
        ("difficulty.hard_from=0.9", {"difficulty", *AFTER_REWRITE}),
        ("rewrite.max_attempts=9", AFTER_REWRITE),
        ("compress.max_rounds=2", AFTER_COMPRESS),
        ("score.rank_clip=5", AFTER_SCORE),
        ("select.max_rd=0.5", AFTER_SCORE - {"score"}),
        ("mix.prompt=nano", {"mix", "train", "evaluate-trained"}),
        ("train.epochs=1", {"train", "evaluate-trained"}),
        ("evaluate.top_p=0.5", {"evaluate-base", "evaluate-trained"}),
        ("evaluate.num_samples=2", set()),  # which answers, not what they are
        ("evaluate.compress=plain", set()),
        ("limit=1", GLOBAL - {"ingest"}),
        ("hygiene.threshold=0.5", {"ingest", *GLOBAL}),
        ("estimate.long_tokens=5", set()),
        ("models.teacher.dtype=float64", AFTER_GENERATE),
        ("models.teacher.max_batch_size=1", set()),
        ("models.student.max_batch_tokens=1", set()),
        ("models.teacher.threads=1", set()),
        ("shard_size=3", set()),
        ("description=other", set()),
    ],
)
def test_a_setting_changes_its_stage_and_those_behind_it(
    recipe: str, override: str, stages: set[str]
) -> None:
    assert changed(recipe, override) == stages


def test_the_seed_changes_every_stage_of_the_corpus(recipe: str) -> None:
    assert changed(recipe, seed=1) == set(plan(recipe).fingerprints) - {"ingest"}


def test_new_weights_change_the_stages_of_their_role(recipe: str, tmp_path: Path) -> None:
    before = plan(recipe).fingerprints
    save_model(tmp_path / "teacher", weights="other weights")
    after = plan(recipe).fingerprints
    assert {name for name in before if before[name] != after[name]} == AFTER_GENERATE


def test_other_problems_change_the_stages_over_all_of_them(recipe: str, tmp_path: Path) -> None:
    before = plan(recipe)
    (tmp_path / "problems.jsonl").write_text('{"question": "3 + 3 = ?", "answer": "6"}\n')
    after = plan(recipe)
    assert after.run_id != before.run_id
    changed = {n for n, value in before.fingerprints.items() if after.fingerprints[n] != value}
    assert changed == GLOBAL


@pytest.mark.parametrize(
    ("stages", "override"),
    [
        (["generate", "difficulty", "compress"], "generate.temperature=0.1"),
        (["generate", "difficulty", "compress"], "difficulty.hard_from=0.9"),
    ],
)
def test_compressing_long_chains_depends_on_them(
    recipe: str, stages: list[str], override: str
) -> None:
    """MACC's recipe has no rewrites: rounds of other chains must not count as this run's."""
    macc = (f"stages={json.dumps(stages)}", "compress.source=long")
    before = plan(recipe, *macc).fingerprints["compress"]
    assert plan(recipe, *macc, override).fingerprints["compress"] != before


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (['stages=["compress"]'], "kind 'rewritten', and no stage makes them: add the stage"),
        (
            ['stages=["generate", "compress"]'],
            "or set compress.source = 'long'",
        ),
        (
            ['stages=["compress"]', "compress.source=long"],
            "add the stage 'generate', or 'verify' for imported rationales",
        ),
    ],
)
def test_compressing_what_no_stage_makes_is_refused(overrides: list[str], words: str) -> None:
    (line,) = str(refusal("nano", *overrides)).splitlines()
    assert line.startswith("recipe nano.toml: stage 'compress' reads chains of kind")
    assert words in line


@pytest.mark.parametrize("maker", ["generate", "verify"])
def test_long_chains_are_compressed_whoever_brought_them(recipe: str, maker: str) -> None:
    macc = (f'stages=["{maker}", "compress"]', "compress.source=long")
    assert "compress" in plan(recipe, *macc).stages


def test_imported_rationales_enter_what_is_made_of_them(recipe: str) -> None:
    short = 'stages=["verify", "difficulty", "rewrite"]'
    before = plan(recipe, short).fingerprints
    after = plan(recipe, short, "models.student.max_model_len=64").fingerprints
    assert all(before[name] != after[name] for name in ("verify", "difficulty", "rewrite"))


def test_resolved_recipe_is_stored_whole(recipe: str) -> None:
    resolved = json.loads(plan(recipe, "select.max_rd=0.5").resolved)["recipe"]
    text = plan(recipe, "select.max_rd=inf").resolved
    assert json.loads(text, parse_constant=pytest.fail)["recipe"]["limit"] is None
    assert resolved["select"]["max_rd"] == 0.5
    assert resolved["rewrite"]["max_attempts"] == 3


@pytest.mark.parametrize("key", ["difficulty.structured", "rewrite.structured_check"])
def test_replies_by_a_schema_need_an_engine_that_can(key: str) -> None:
    assert "cannot hold a reply to a schema" in refusal("nano", f"{key}=true")


def test_a_password_in_a_base_url_is_refused() -> None:
    told = refusal(
        "nano",
        'models.teacher.engine="endpoint"',
        'models.teacher.endpoint={base_url="http://me:secret@host/v1"}',
    )
    assert "no name or password in it" in told
    assert "secret" not in told
