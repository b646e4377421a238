"""Prompts of one's own: the same prompt wherever it lies, and every fault said before a run."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.recipes.loading import load_recipe, shipped_recipes
from flows.recipes.plan import STAGES, draft_plan, notes_on_prompts
from flows.recipes.recipe import RecipeError
from tasks.ports import PermanentError, Prompt, ScoreRequest, TokenScores
from tasks.prompts import (
    FOLDER,
    PromptError,
    PromptFile,
    PromptFiles,
    environment,
    load_prompt,
    render,
    variants,
)
from tasks.prompts.checks import faults_of
from tasks.rewrite import STAGE as REWRITE
from tasks.rewrite import RewriteConfig
from tests.fakes import FunctionChat, ports, words

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem.split("__", 1) for path in FOLDER.glob("*.jinja"))
USES = {
    use.step: (stage, use) for stage in STAGES.values() for use in stage.prompts
}  # of the step, whichever stage has it
CHAIN = "{{ question }} {{ rationale }}"
TABLES = {stage: stage.partition("-")[0] for stage in STAGES}


def save(folder: Path, text: str | bytes, name: str = "mine.jinja") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def own(text: str, step: str = "rewrite") -> PromptFile:
    return PromptFile(step=step, name="./mine.jinja", text=text, sha="0" * 16)


def refusal(*overrides: str, recipe: str = "litecot") -> list[str]:
    """The lines of a plan that is refused."""
    with pytest.raises(RecipeError) as caught:
        draft_plan(load_recipe(recipe, overrides=overrides))
    return str(caught.value).split("\n  ")


# --- the same prompt


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(shipped=st.sampled_from(SHIPPED), data=st.data())
def test_a_copy_of_a_shipped_prompt_is_that_prompt(
    shipped: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    step, variant = shipped
    _, use = USES[step]
    values = {value.name: data.draw(texts) for value in use.values}
    folder = tmp_path_factory.getbasetemp() / "copies"
    path = save(folder, (FOLDER / f"{step}__{variant}.jinja").read_bytes(), f"{step}.jinja")
    copy, ours = load_prompt(step, str(path)), load_prompt(step, variant)
    assert copy.render(**values) == ours.render(**values) == render(step, variant, **values)
    assert (copy.sha, copy.twin, copy.key) == (ours.sha, variant, f"{step}__{variant}")


@given(question=texts | st.sampled_from(["{{ x }}", "{% include 'a' %}", "{#", "{{ 7 * 7 }}"]))
def test_text_in_a_value_is_never_template(question: str) -> None:
    assert own("[{{ question }}]").render(question=question) == f"[{question}]"


def test_the_same_text_under_another_path_is_the_same_prompt(tmp_path: Path) -> None:
    one = load_prompt("rewrite", str(save(tmp_path, CHAIN)))
    other = load_prompt("rewrite", str(save(tmp_path / "deep", CHAIN, "other.jinja")))
    assert one.sha == other.sha
    assert one.key == "rewrite__mine"
    assert one.label == f"mine.jinja@sha256:{one.sha}"


def test_an_own_prompt_of_a_shipped_name_is_told_apart(tmp_path: Path) -> None:
    one = load_prompt("rewrite", str(save(tmp_path, CHAIN, "instruct.jinja")))
    assert one.key == f"rewrite__instruct@{one.sha}"


@pytest.mark.parametrize("text", [f"a {CHAIN}\r\nb", f"\ufeffa {CHAIN}\nb\n"])
def test_line_ends_and_a_byte_order_mark_reach_no_model(tmp_path: Path, text: str) -> None:
    prompt = load_prompt("rewrite", str(save(tmp_path, text)))
    assert prompt.render(question="q", rationale="r") == "a q r\nb"


def test_a_prompt_is_read_when_the_run_is_planned(tmp_path: Path) -> None:
    path = save(tmp_path, f"first {CHAIN}")
    run = draft_plan(load_recipe("litecot", overrides=[f"rewrite.prompt={path}"])).stages["rewrite"]
    save(tmp_path, f"second {CHAIN}")
    prompt = PromptFiles(run.config.prompt, run.prompts).render(
        "rewrite", question="q", rationale="r"
    )
    assert prompt.text == "first q r"


def test_no_prompt_renders_differently_twice() -> None:
    with pytest.raises(Exception, match="random"):
        own("{{ question | random }}").render(question="abc")
    assert "lipsum" not in environment().globals


# --- fingerprints


@pytest.mark.parametrize("name", ["nano", "litecot", "macc", "liter-7b"])
@pytest.mark.parametrize("step", sorted(USES))
def test_one_changed_word_changes_the_stages_behind_it(
    name: str, step: str, tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    for stage in draft_plan(recipe).stages.values():
        for use in stage.stage.prompts:
            if use.step != step:
                continue
            ours = load_prompt(step, stage.stage.prompt_name(step, stage.config))
            setting = f"{TABLES[stage.stage.name]}.{use.setting}"
            changed = changed_by(name, setting, save(tmp_path, "Say. " + ours.text))
            assert changed == behind(name, TABLES[stage.stage.name])
            assert changed_by(name, setting, save(tmp_path, ours.text)) == set()


def changed_by(recipe: str, setting: str, path: Path) -> set[str]:
    before = draft_plan(load_recipe(recipe)).fingerprints
    after = draft_plan(load_recipe(recipe, overrides=[f"{setting}={path}"])).fingerprints
    return {stage for stage in before if before[stage] != after[stage]}


def behind(recipe: str, table: str) -> set[str]:
    """Stages of the table, and those that read what they write, by the stages' declarations."""
    names = list(draft_plan(load_recipe(recipe)).fingerprints)
    upstream = {name: STAGES[name].upstream for name in names if name in STAGES}
    upstream["train"] = ("mix",)
    found = {name for name in names if name.partition("-")[0] == table}
    for name in names:  # in order
        if set(upstream.get(name, ())) & found:
            found.add(name)
    return found


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_two_names_of_one_prompt_are_one_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = draft_plan(load_recipe(name))
    stage = next(run for run in plain.stages.values() if run.stage.prompts)
    table, (use, *_) = TABLES[stage.stage.name], stage.stage.prompts
    path = save(tmp_path, "Say. {{ question }}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.jinja").symlink_to(path)
    spelt = [str(path), "mine.jinja", "./mine.jinja", f"../{tmp_path.name}/mine.jinja",
             "link.jinja"]  # fmt: skip
    plans = [
        draft_plan(load_recipe(name, overrides=[f"{table}.{use.setting}={one}"])) for one in spelt
    ]
    assert len({plan.run_id for plan in plans}) == 1
    assert plans[0].run_id != plain.run_id
    assert str(tmp_path) not in plans[0].resolved
    assert f'"prompt": "mine.jinja@sha256:{plans[0].prompts()[f"{use.step}__mine"]}"' in (
        plans[0].resolved
    )


def test_each_step_has_a_setting_of_its_own(tmp_path: Path) -> None:
    mine = save(tmp_path, "Say. {{ question }} {{ rationale }}")
    own_rewrite = RewriteConfig(prompt=str(mine))
    assert REWRITE.prompt_name("rewrite", own_rewrite) == str(mine)
    assert REWRITE.prompt_name("verify", own_rewrite) == "instruct"
    assert REWRITE.prompt_name("verify", RewriteConfig(prompt="nano")) == "nano"
    own_check = RewriteConfig(prompt="nano", check_prompt=str(mine))
    assert REWRITE.prompt_name("rewrite", own_check) == "nano"
    assert REWRITE.prompt_name("verify", own_check) == str(mine)


def test_a_setting_left_out_is_stored_nowhere() -> None:
    assert "check_prompt" not in RewriteConfig().model_dump_json()
    assert "check_prompt" not in draft_plan(load_recipe("litecot")).resolved


def test_the_check_prompt_said_or_not_is_the_same_prompt() -> None:
    plain = draft_plan(load_recipe("litecot"))
    said = draft_plan(load_recipe("litecot", overrides=["rewrite.check_prompt=instruct"]))
    assert said.fingerprints == plain.fingerprints


def test_the_run_keeps_every_text(tmp_path: Path) -> None:
    path = save(tmp_path, CHAIN)
    plan = draft_plan(load_recipe("litecot", overrides=[f"rewrite.prompt={path}"]))
    prompts, kept = plan.prompts(), plan.prompt_texts()
    assert list(prompts) == [
        "generate__default", "judge__instruct", "rewrite__mine", "verify__instruct",
    ]  # fmt: skip
    assert kept[prompts["rewrite__mine"]] == CHAIN
    ours = (FOLDER / "verify__instruct.jinja").read_text(encoding="utf-8")
    assert kept[prompts["verify__instruct"]] == ours


def test_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    one = save(tmp_path / "a", "Say. {{ question }}")
    other = save(tmp_path / "b", "Do. {{ question }}")
    overrides = [f"generate.prompt={one}", f"mix.prompt={other}"]
    plan = draft_plan(load_recipe("litecot", overrides=overrides))
    mine = {key: sha for key, sha in plan.prompts().items() if key.startswith("generate__mine")}
    assert [plan.prompt_texts()[sha] for sha in mine.values()] == [
        "Say. {{ question }}", "Do. {{ question }}",
    ]  # fmt: skip


# --- faults: each a line with setting, file, line number and remedy


REWRITE_GIVES = "question, rationale, level, feedback, max_tokens, max_words"
FAULTS = [
    (
        "rewrite.prompt", f"{CHAIN}\n\n{{{{ solution }}}}",
        ":3: {{ solution }} is not given; this step gives " + REWRITE_GIVES,
    ),
    (
        "rewrite.prompt", CHAIN + "{{ rational }}",
        ":1: {{ rational }} is not given (did you mean 'rationale'?); this step gives "
        + REWRITE_GIVES,
    ),
    (
        "rewrite.prompt", CHAIN + "\n{% if level == 'hard' %}\n{{ plan }}\n{% endif %}",
        ":3: {{ plan }} is not given; this step gives " + REWRITE_GIVES,
    ),
    (
        "rewrite.prompt", f"{CHAIN}\n{{{{ question",
        ":2: does not parse: unexpected end of template, expected 'end of print statement'; "
        "`litecot prompts show rewrite VARIANT` prints one that works",
    ),
    (
        "rewrite.check_prompt", "{{ question | shuffle }}",
        ":1: does not parse: No filter named 'shuffle'; "
        "`litecot prompts show verify VARIANT` prints one that works",
    ),
    (
        "generate.prompt", "{{ question }}\n{% include 'other.jinja' %}",
        ":2: {% include %}: a prompt is one file, so that its hash is that of all its text: put "
        "the other's text here",
    ),
    (
        "generate.prompt", "{% extends 'other.jinja' %}{{ question }}",
        ":1: {% extends %}: a prompt is one file, so that its hash is that of all its text: put "
        "the other's text here",
    ),
    (
        "difficulty.prompt", "How hard is it?\n",
        ":1: is the same for every problem (with structured = ''): write {{ question }} in it",
    ),
    (
        "rewrite.prompt", "{% if level == 'easy' %}Short.{% else %}{{ rationale }}{% endif %}",
        ":1: is the same for every problem (with level = 'easy', feedback = ''): write "
        "{{ question }} or {{ rationale }} in it",
    ),
    (
        "mix.prompt", "",
        ":1: is the same for every problem: write {{ question }} in it",
    ),
    (
        "score.prompt", "{{ question }}\n{{ question.author }}",
        ":2: cannot be rendered: UndefinedError: 'str object' has no attribute 'author'",
    ),
    (
        "score.prompt", "{{ question }}\n\n{{ question.__class__.__mro__ }}",
        ":3: cannot be rendered: SecurityError: access to attribute '__class__' of 'str' object "
        "is unsafe.",
    ),
    (
        "score.prompt", b"{{ question }}\n\xe9t\xe9",
        ":2: not UTF-8: save the file as UTF-8",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "text", "line"), FAULTS)
def test_each_fault_is_one_line(tmp_path: Path, setting: str, text: str | bytes, line: str) -> None:
    path = save(tmp_path, text)
    assert refusal(f"{setting}={path}") == [f"{setting}: {path}{line}"]


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    one, other = save(tmp_path, "{{ a }}\n{{ b }}"), save(tmp_path, "{{ c }}", "other.jinja")
    gives = "is not given; this step gives question"
    assert refusal(f"generate.prompt={one}", f"mix.prompt={other}", "score.prompt=poem") == [
        f"generate.prompt: {one}:1: {{{{ a }}}} {gives}",
        f"generate.prompt: {one}:2: {{{{ b }}}} {gives}",
        "score.prompt: no prompt 'poem' for step 'generate'; there are: default, nano; a file of "
        "your own is written './NAME' or ends in .jinja",
        f"mix.prompt: {other}:1: {{{{ c }}}} {gives}",
    ]


@pytest.mark.parametrize(
    ("setting", "step", "name"),
    [
        ("rewrite.check_prompt", "verify", ""), ("rewrite.prompt", "rewrite", ""),
        ("rewrite.prompt", "rewrite", "mine.txt"),
    ],
)  # fmt: skip
def test_a_file_is_told_from_a_variant(setting: str, step: str, name: str) -> None:
    assert refusal(f"{setting}={name}") == [
        f"{setting}: no prompt {name!r} for step {step!r}; there are: default, instruct, nano; "
        "a file of your own is written './NAME' or ends in .jinja"
    ]


def test_a_file_that_is_no_message(tmp_path: Path) -> None:
    path = save(tmp_path, CHAIN + "x" * 1_000_000)
    assert refusal(f"rewrite.prompt={path}") == [
        f"rewrite.prompt: {path}: larger than 1,000,000 bytes: a prompt is one message"
    ]


def test_a_rendering_that_fails_rejects_its_record_with_the_reason() -> None:
    files = PromptFiles("default", {"generate": own("{{ 1 / (question | length - 3) }}")})
    assert files.render("generate", question="four").text == "1.0"
    with pytest.raises(PermanentError) as caught:
        files.render("generate", question="two")
    assert caught.value.reason == "prompt_failed"
    assert caught.value.detail == "rewrite__mine: ZeroDivisionError: division by zero"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refusal("rewrite.prompt=./nowhere.jinja") == [
        "rewrite.prompt: cannot read ./nowhere.jinja: No such file or directory; "
        "`litecot prompts show rewrite VARIANT > FILE` makes one to start from"
    ]
    assert "cannot read" in refusal(f"rewrite.prompt={tmp_path}/")[0]


def test_a_stage_that_asks_no_model_has_no_prompt() -> None:
    assert refusal("select.prompt=./mine.jinja") == [
        "select.prompt: the stage 'select' asks no model: leave it out"
    ]


def test_a_level_that_is_not_always_given(tmp_path: Path) -> None:
    single = ["rewrite.variant=single_prompt"]
    path = save(tmp_path, CHAIN + "\n{{ level }}")
    assert refusal(f"rewrite.prompt={path}", *single) == [
        f"rewrite.prompt: {path}:2: {{{{ level }}}} is not always given: only where variant = "
        "'two_step'; ask {% if level is defined %} first"
    ]
    save(tmp_path, CHAIN + "\n{% if level is defined %}{{ level }}{% endif %}")
    draft_plan(load_recipe("litecot", overrides=[f"rewrite.prompt={path}", *single]))


def test_what_is_asked_for_carefully_is_no_fault(tmp_path: Path) -> None:
    careful = CHAIN + "{{ x | default('') }}{% if y is undefined %}{% endif %}"
    loops = "{% set n = 2 %}{% for i in range(n) %}{{ i }}{% endfor %}" + CHAIN
    for text in (careful, loops):
        assert faults_of(own(text), USES["rewrite"][1], RewriteConfig()) == []


@pytest.mark.parametrize(("step", "variant"), SHIPPED)
def test_shipped_prompts_have_no_faults(step: str, variant: str) -> None:
    stage, use = USES[step]
    assert faults_of(load_prompt(step, variant), use, stage.config()) == []


def test_a_ratio_has_to_be_asked_for(tmp_path: Path) -> None:
    ratio = ["compress.method=fixed_ratio"]
    path = save(tmp_path, CHAIN + "{# target_tokens #}")
    with pytest.raises(RecipeError, match=r"has to ask for a length, .* \{\{ target_tokens \}\}"):
        load_recipe("macc", overrides=[f"compress.prompt={path}", *ratio])
    save(tmp_path, CHAIN + " in {{ target_tokens }} tokens")
    draft_plan(load_recipe("macc", overrides=[f"compress.prompt={path}", *ratio]))
    save(tmp_path, CHAIN + "{{ target_tokens ")
    assert ":1: does not parse" in refusal(f"compress.prompt={path}", *ratio, recipe="macc")[0]


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("It is {gold}.", "{gold} is not given"),
        ("It is {answer.__class__}.", "{answer.__class__} is not given"),
        ("It is {}.", "{} is not given"),
        ("It is done.", "does not say the answer"),
        ("$\\boxed{{answer}}$", "does not say the answer"),
        ("It is {answer", "cannot be filled in (ValueError: expected '}' before end of string)"),
        ("It is {answer:>1000000000}", "{answer:>1000000000} has a format, and the answer is put "
                                       "in as it is"),
    ],
)  # fmt: skip
def test_the_answer_is_said_in_the_answer_template(template: str, fault: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("litecot", overrides=[f"score.answer_template={template}"])
    remedy = "write {answer} where the answer goes, and {{ }} for braces that stay"
    where = "recipe litecot.toml: score.answer_template: "
    assert str(caught.value) == f"{where}{template!r}: {fault}: {remedy}"


def test_braces_may_stay() -> None:
    load_recipe("litecot", overrides=["score.answer_template='\\boxed{{{answer}}}'"])


def test_a_text_the_model_will_not_see_is_said(tmp_path: Path) -> None:
    path = save(tmp_path, "{{ rationale }}")
    recipe = load_recipe("litecot", overrides=[f"rewrite.prompt={path}"])
    assert notes_on_prompts(recipe) == [
        f"rewrite.prompt: {path} has no {{{{ question }}}}: the model will not see it",
        "rewrite.check_prompt is left out beside a prompt of your own: the variant 'instruct' is "
        "used",
    ]
    chosen = load_recipe(
        "litecot", overrides=[f"generate.prompt={save(tmp_path, '{{ question }}!', 'a.jinja')}"]
    )
    assert notes_on_prompts(chosen) == []
    assert not any(notes_on_prompts(load_recipe(name)) for name in shipped_recipes())


# --- what a step gives is what it renders with


RECORD: dict[str, Any] = {
    "record_id": "p", "problem_id": "p", "question": "2 + 2 = ?", "answer": "4",
    "answer_type": "integer", "level": "hard", "parent_id": "long", "parent_text": "so answer 4",
    "parent_model": "m", "parent_engine": "e", "candidate": 0, "text": words(20), "num_tokens": 20,
    "rationale": "1) a", "length_quantile": 0.5, "num_wrong": 1, "num_graded": 4,
    "subject_error_rate": 0.5, "rationale_id": "r", "condition": "original", "source": "sums",
    "compress": False, "sample": 0,
}  # fmt: skip
SETTINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("generate", {}, {}), ("mix", {}, {}), ("score", {}, {}), ("evaluate-base", {}, {}),
    ("evaluate-trained", {}, {}), ("difficulty", {}, {}), ("difficulty", {"structured": True}, {}),
    ("rewrite", {}, {}), ("rewrite", {"structured_check": True}, {}),
    ("rewrite", {"variant": "single_prompt"}, {"level": None}),
    ("rewrite", {"variant": "single_prompt", "escalate": True, "max_tokens_easy": 1},
     {"level": None}),
    ("compress", {}, {}), ("compress", {"method": "fixed_ratio"}, {}),
]  # fmt: skip


class NotedPrompts(PromptFiles):
    """The real prompts; notes the names each was given."""

    def __init__(self) -> None:
        super().__init__("instruct", {"generate": load_prompt("generate", "default")})
        self.given: list[tuple[str, frozenset[str]]] = []

    def render(self, step: str, *, compress: bool = False, **values: str) -> Prompt:
        self.given.append((step, frozenset(values)))
        return super().render(step, compress=compress, **values)


class FlatScorer:
    """A student to whom every target is one token."""

    name = "student"

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        count = len(request.targets) + sum(len(one.targets) for one in request.beside)
        return [TokenScores(logprobs=[-1.0], ranks=[1])] * count


def rendered(name: str, settings: dict[str, Any], record: dict[str, Any]) -> NotedPrompts:
    """The prompts of one record, as the real step asks for them."""
    stage, prompts = STAGES[name], NotedPrompts()
    chat = FunctionChat(lambda text: f"Difficulty: easy\n{words(9)}")
    given = ports(
        chat=dict.fromkeys(("teacher", "compressor", "student"), chat),
        scoring={"student": FlatScorer()},
    )
    names = {field.name for field in fields(stage.record)}
    row = stage.record(**{key: v for key, v in {**RECORD, **record}.items() if key in names})
    asyncio.run(stage.step(row, replace(given, prompts=prompts), stage.config(**settings)))
    return prompts


@pytest.fixture(scope="module")
def given_names() -> list[tuple[str, Any, str, frozenset[str]]]:
    return [
        (name, STAGES[name].config(**settings), step, names)
        for name, settings, record in SETTINGS
        for step, names in rendered(name, settings, record).given
    ]


def test_the_real_steps_render_with_what_is_declared(
    given_names: list[tuple[str, Any, str, frozenset[str]]],
) -> None:
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, config, step, names in given_names:
        (use,) = (use for use in STAGES[name].prompts if use.step == step)
        sure = {value.name for value in use.values if value.is_sure(config)}
        assert sure <= names, f"{name} does not always give {sure - names} to {step}"
        seen[name, step] |= names
    declared = {
        (stage.name, use.step): {value.name for value in use.values}
        for stage in STAGES.values()
        for use in stage.prompts
    }
    assert seen == declared


def test_settings_that_name_prompts_are_called_so() -> None:
    """Paths are found by these names (flows/recipes/paths.py)."""
    for stage in STAGES.values():
        for use in stage.prompts:
            assert use.setting == "prompt" or use.setting.endswith("_prompt")
            assert use.setting in stage.config.model_fields


def test_no_two_variants_of_a_step_are_the_same() -> None:
    for step in USES:
        shas = [load_prompt(step, variant).sha for variant in variants(step)]
        assert len(set(shas)) == len(shas)


# --- docs/recipes.md


def documented() -> Iterator[tuple[str, str, str]]:
    """Rows of the table: step, settings, names with their meaning."""
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    section = text.partition("## Prompts of your own")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| `(\w+)` \| (.+) \| `(\w+)` \| (.+) \|$", section, re.M):
        yield row[0], row[2], row[3]


def test_the_documented_names_are_those_given() -> None:
    declared = [
        (step, value.name, value.meaning) for step in sorted(USES) for value in USES[step][1].values
    ]
    assert list(documented()) == declared


def test_unknown_prompts_name_those_there_are() -> None:
    with pytest.raises(PromptError, match="there are: default, instruct, nano"):
        load_prompt("judge", "poem")
