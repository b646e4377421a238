"""100 problems with real recorded rationales, through litecot, macc and morsd as a user runs them.

What a teacher or compressor would say is what real models wrote for the same problem, from a server
on loopback (tests/recorded_chains.py). MATH-500 is TEST data: it shows that the mechanics hold on
real texts, nothing is trained on it. Every recipe runs once for all tests, in its shipped form but
for its models, and without the stages that need them: generate and train.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.recipes.loading import load_recipe
from infra.engines.token_counter import TokenizerCounter
from infra.storage import Corpus
from sql.database import Database, connect, names
from sql.questions import question_text, questions
from tasks.compress import CompressConfig
from tasks.compress_methods import Outcome
from tasks.prompts import prompt_sha
from tests.compression_reference import Ended, ended
from tests.integration.command_line import litecot
from tests.real_chains import read
from tests.recorded_chains import (
    COMPRESSOR,
    LONG,
    MIDDLE,
    TEACHER,
    Recorded,
    RecordedServer,
    recorded_problems,
    save_reader,
    serving_recorded,
    squashed,
    write_rows,
)

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

NUM_PROBLEMS = 100
NUM_HELD_OUT_TOO = 5  # that litecot is also given although they are in the evaluation set
RECIPES = ("litecot", "macc", "morsd")
GSM8K_WRITERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
LEFT_OUT = {"generate", "train"}  # the rationales are imported; nothing trains on TEST data


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all recipes share."""

    folder: Path
    problems: list[Recorded]
    server: RecordedServer
    student: Path

    def source(self, recipe: str) -> Path:
        """The file of rationales a recipe is given."""
        return self.folder / f"{recipe}.jsonl"

    def arguments(self, recipe: str) -> list[str]:
        """Of `litecot run`: the shipped recipe with other models."""
        stages = [s for s in load_recipe(recipe).stages if s not in LEFT_OUT | {"verify"}]
        settings = {
            "stages": json.dumps(["verify", *stages]),
            "models.student.engine": "transformers",
            "models.student.model": str(self.student),
            "models.student.dtype": "float32",
            "models.student.replicas": "1",
            "models.student.max_model_len": "40960",
        }
        if recipe == "litecot":
            settings["hygiene.evaluation_sets"] = json.dumps([str(self.folder / "eval.jsonl")])
        if recipe != "morsd":  # whose recipe asks no teacher
            settings |= self._endpoint("teacher", TEACHER)
        if recipe == "macc":
            settings |= self._endpoint("compressor", COMPRESSOR)
        pairs = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
        return ["run", recipe, "--rationales", str(self.source(recipe)), *pairs]

    def _endpoint(self, role: str, model: str) -> dict[str, str]:
        return {
            f"models.{role}.engine": "endpoint",
            f"models.{role}.model": model,
            f"models.{role}.endpoint.base_url": self.server.base_url,
        }


@dataclass(frozen=True, kw_only=True)
class Made:
    """A corpus, and what making it printed and asked."""

    recipe: str
    corpus: Path
    printed: str
    asked: dict[str, int]  # judge | rewrite | check | compress -> requests
    database: Database
    problems: list[Recorded]

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Of the corpus."""
        return self.database.run(query).records()

    def count(self, query: str) -> int:
        """The number a query finds."""
        return int(self.database.run(f"select count(*) from {query}").rows[0][0])


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("real")
    every = recorded_problems()
    problems, given = every[:NUM_PROBLEMS], every[: NUM_PROBLEMS + NUM_HELD_OUT_TOO]
    write_rows(folder / "litecot.jsonl", [problem.row(LONG, MIDDLE) for problem in given])
    write_rows(folder / "eval.jsonl", [problem.row() for problem in every[NUM_PROBLEMS:]])
    write_rows(folder / "macc.jsonl", [problem.row(LONG) for problem in problems])
    write_rows(folder / "morsd.jsonl", [*gsm8k_rows(), *math_rows()])
    with serving_recorded(problems) as server:
        student = save_reader(folder / "student")
        yield Ground(folder=folder, problems=problems, server=server, student=student)


def gsm8k_rows() -> list[dict[str, Any]]:
    """50 problems with four candidates each."""
    return [
        {
            "question": row["question"],
            "answer": row["ground_truth"],
            "rationales": [row[writer]["solution"] for writer in GSM8K_WRITERS],
            "correct": [row[writer]["is_correct"] for writer in GSM8K_WRITERS],
            "model": list(GSM8K_WRITERS),
        }
        for row in read("gsm8k_test_openai_4candidates")[: NUM_PROBLEMS // 2]
    ]


def math_rows() -> list[dict[str, Any]]:
    """50 problems with eight candidates each."""
    return [
        {
            "question": row["question"],
            "answer": row["gt"],
            "rationales": row["code"],
            "correct": row["score"],
            "model": "Qwen2.5-Math",
        }
        for row in read("math100_qwen25math_8candidates")[: NUM_PROBLEMS // 2]
    ]


@pytest.fixture(scope="module")
def make(ground: Ground) -> Callable[[str], Made]:
    """Runs a recipe at the first call."""
    made: dict[str, Made] = {}

    def once(recipe: str) -> Made:
        if recipe not in made:
            made[recipe] = run_recipe(ground, recipe)
        return made[recipe]

    return once


def run_recipe(ground: Ground, recipe: str) -> Made:
    """The corpus of a recipe."""
    corpus = ground.folder / "corpora" / recipe
    asked_before = dict(ground.server.answered)
    done = litecot(*ground.arguments(recipe), "--corpus", str(corpus))
    assert done.returncode == 0, done.stdout + done.stderr
    asked = {k: n - asked_before.get(k, 0) for k, n in ground.server.answered.items()}
    database = connect(Corpus(corpus).parts())
    return Made(
        recipe=recipe, corpus=corpus, printed=done.stdout, asked=asked, database=database,
        problems=ground.problems,
    )  # fmt: skip


@pytest.fixture
def made(request: pytest.FixtureRequest, make: Callable[[str], Made]) -> Made:
    """The corpus of the recipe a test is for."""
    return make(request.param)


each_recipe = pytest.mark.parametrize("made", RECIPES, indirect=True)
of_litecot = pytest.mark.parametrize("made", ["litecot"], indirect=True)
of_macc = pytest.mark.parametrize("made", ["macc"], indirect=True)
of_morsd = pytest.mark.parametrize("made", ["morsd"], indirect=True)


@each_recipe
def test_every_row_is_accounted_for(made: Made) -> None:
    imported = made.count("stg_candidates")
    assert made.count("stg_problems where split = 'train'") == NUM_PROBLEMS
    assert imported == {"litecot": 200, "macc": 100, "morsd": 600}[made.recipe]
    assert made.count("stg_rationales where kind = 'long'") == imported
    assert made.count("stg_examples") == made.count("stg_selections where kept") > 0
    scored_or_told = """
        (select record_id from stg_rejections where stage = 'score'
         union all select rationale_id from stg_scores)"""
    considered = "stg_selections join stg_rationales using (rationale_id)"
    right = made.count(f"(select distinct rationale_id from {considered} where verdict='correct')")
    assert made.count(scored_or_told) >= right
    for name in names("checks"):
        assert made.database.run_file("checks", name).rows == [], name


@each_recipe
def test_verdicts_agree_with_what_was_recorded(made: Made) -> None:
    """The record calls chains wrong that were cut off behind a right answer, and right where the
    answer stands in a thought that was never closed."""
    (row,) = made.rows(
        "select avg((recorded_correct = (verdict = 'correct'))::int) as agreement"
        " from stg_rationales where recorded_correct is not null"
    )
    assert row["agreement"] >= (0.99 if made.recipe == "morsd" else 0.93)


@of_litecot
def test_the_same_command_again_asks_and_writes_nothing(made: Made, ground: Ground) -> None:
    asked_before = ground.server.answered.total()
    done = litecot(*ground.arguments(made.recipe), "--corpus", str(made.corpus))
    assert done.returncode == 0, done.stderr
    assert ground.server.answered.total() == asked_before
    again = connect(Corpus(made.corpus).parts())
    rows = again.run("from stg_invocations order by started_at").records()
    assert [row["status"] for row in rows] == ["done", "done"]
    assert rows[-1]["num_requests"] == 0
    assert set(json.loads(rows[-1]["stage_rows"]).values()) == {0}


@of_litecot
def test_litecot_takes_only_what_the_record_supports(made: Made) -> None:
    """Retries and rejections really happen: cut-off, too long, wrong and doubted rewrites."""
    by_question = {squashed(problem.question): problem for problem in made.problems}
    rewritten = made.rows(
        """select question, level, r.text, r.num_tokens, r.num_requests
        from stg_rationales as r join stg_problems using (problem_id) where kind = 'rewritten'"""
    )
    for row in rewritten:
        chain = by_question[squashed(row["question"])].chain_in(row["text"])
        assert chain is not None
        assert chain.is_correct
        assert row["num_tokens"] <= 300 or row["level"] != "easy"
    refused = made.count("stg_rejections where stage = 'rewrite'")
    assert len(rewritten) + refused == NUM_PROBLEMS
    assert len(rewritten) > NUM_PROBLEMS / 2
    assert any(row["num_requests"] > 2 for row in rewritten)  # a rewrite and its check are two
    reasons = {row["reason"] for row in made.rows("select reason from stg_rejections")}
    assert reasons >= {"no_correct_candidate", "too_long_for_easy"}
    assert made.asked["rewrite"] + made.asked["check"] == sum_of(made, "rewrite")
    assert made.asked["judge"] == NUM_PROBLEMS


@of_litecot
def test_what_is_held_out_for_evaluation_is_left_out_and_told(made: Made) -> None:
    left_out = made.rows("select reason, detail from stg_rejections where stage = 'ingest'")
    assert {row["reason"] for row in left_out} == {"in_evaluation_set"}
    assert len(left_out) == NUM_HELD_OUT_TOO
    assert all("eval.jsonl:" in row["detail"] for row in left_out)


@of_litecot
def test_the_judge_is_heard(made: Made) -> None:
    published = {squashed(problem.question): problem.level for problem in made.problems}
    judged = made.rows(
        "select question, teacher_level, level from stg_difficulties"
        " join stg_problems using (problem_id)"
    )
    assert len(judged) == NUM_PROBLEMS
    assert all(row["teacher_level"] == published[squashed(row["question"])] for row in judged)
    assert {row["level"] for row in judged} == {"easy", "medium", "hard"}


@of_macc
def test_macc_keeps_the_shortest_round_before_the_first_rebound(made: Made, ground: Ground) -> None:
    """The stored rounds are the recorded chains in order, and end as the reference says."""
    by_question = {squashed(problem.question): problem for problem in made.problems}
    resolved = json.loads(made.rows("from stg_runs")[0]["resolved"])["recipe"]
    config = CompressConfig(**resolved["compress"])
    counter = TokenizerCounter(str(ground.student))
    chains = made.rows(
        """select question, r.text, list({
            'round': c.round, 'text': c.text, 'num_tokens': c.num_tokens, 'verdict': c.verdict,
            'finish_reason': c.finish_reason, 'stop_reason': c.stop_reason, 'chosen': c.chosen,
            'is_stated': c.stated_as is distinct from 'closing_line'
        } order by c.round) as rounds
        from stg_rationales as c
        join stg_rationales as r on r.rationale_id = c.parent_id
        join stg_problems as p on p.problem_id = r.problem_id
        group by all"""
    )
    for chain in chains:
        problem, rounds = by_question[squashed(chain["question"])], chain["rounds"]
        before = chain["text"]
        for row in rounds:
            assert row["text"] == problem.shorter(problem.chain_in(before)).text
            assert row["num_tokens"] == counter.count(row["text"])
            before = row["text"]
        outcomes = [
            Outcome(**{field.name: row[field.name] for field in fields(Outcome)}) for row in rounds
        ]
        kept = next((row["round"] for row in rounds if row["chosen"]), None)
        told = Ended(len(rounds), rounds[-1]["stop_reason"], kept)
        assert told == ended(counter.count(chain["text"]), outcomes, config)
        assert {row["stop_reason"] for row in rounds[:-1]} <= {None}
    assert {chain["rounds"][-1]["stop_reason"] for chain in chains} >= {"rebound", "answer_changed"}
    assert len(chains) > NUM_PROBLEMS / 5
    assert made.asked["compress"] == made.count("stg_rationales where kind = 'compressed'")
    right = made.count(
        "stg_rationales where kind = 'long' and verdict = 'correct' and cut_off is null"
    )
    assert len(chains) + made.count("stg_rejections where stage = 'compress'") == right


@of_morsd
def test_morsd_filters_in_its_order(made: Made) -> None:
    rows = made.rows(
        """select s.*, r.verdict from stg_selections as s
        join stg_rationales as r using (rationale_id)"""
    )
    assert len(rows) == made.count("stg_candidates")
    assert {row["filter"] for row in rows} == {"accuracy", "diversity", "difficulty", "kept"}
    for row in rows:
        assert (row["filter"] == "accuracy") == (row["verdict"] != "correct" or row["rd"] is None)
        assert row["kept"] == (row["filter"] == "kept")
    ranked: dict[str, list[tuple[float, int]]] = {}
    for row in rows:
        if row["kept"]:
            ranked.setdefault(row["problem_id"], []).append((row["rd"], row["rank"]))
    for kept in ranked.values():
        assert sorted(kept) == sorted(kept, key=lambda pair: pair[1])  # lower RD, lower rank
        assert max(rd for rd, _ in kept) <= 1.0
        assert len(kept) <= 3


@each_recipe
def test_every_question_has_an_answer_that_makes_sense(made: Made) -> None:
    """Read by name: shares lie in 0..1, counts are not negative, nothing is NaN."""
    answered = {name: made.database.run(question_text(name)) for name in questions()}
    for name, result in answered.items():
        for row in result.records():
            for column, value in row.items():
                assert value == value, f"{name}.{column} is NaN"
                if value is None:
                    continue
                if column.startswith("share_left"):  # a rewrite may be longer than its chain
                    assert value > 0, f"{name}.{column} is {value}"
                elif column.startswith(("share_", "accuracy")) or column == "share":
                    assert 0 <= value <= 1, f"{name}.{column} is {value}"
                elif column.startswith(("num_", "tokens_")) and isinstance(value, (int, float)):
                    assert value >= 0, f"{name}.{column} is {value}"
                elif column.startswith("correlation"):
                    assert -1 <= value <= 1, f"{name}.{column} is {value}"
    assert {"verdicts_by_kind", "length_histogram", "kinds_kept"} <= {
        name for name, result in answered.items() if result.rows
    }
    done = litecot("ask", "verdicts_by_kind", "--corpus", str(made.corpus), "--format", "json")
    assert json.loads(done.stdout) == answered["verdicts_by_kind"].records()


@pytest.fixture(scope="module")
def snapshots(make: Callable[[str], Made], ground: Ground) -> Callable[[str], Path]:
    """Publishes a recipe's corpus at the first call."""

    def once(recipe: str) -> Path:
        folder = ground.folder / "snapshots" / recipe
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            corpus, source = make(recipe).corpus, ground.source(recipe).name
            licence = f"{source}=Apache-2.0 | for tests"
            done = litecot("publish", str(folder), "--corpus", str(corpus), "--licence", licence)
            assert done.returncode == 0, done.stderr
        return folder

    return once


@each_recipe
def test_the_snapshot_loads_and_holds_the_corpus(
    made: Made, snapshots: Callable[[str], Path], tmp_path: Path
) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(snapshots(made.recipe)), cache_dir=str(tmp_path))
    assert loaded.keys() == {"train"}
    rows = {row["example_id"]: row for row in loaded["train"]}
    stored = made.rows(
        """select example_id, e.prompt, e.completion, e.condition, e.num_tokens, p.question,
            p.answer, e.rationale_id, r.text, d.level
        from stg_examples as e
        join stg_problems as p using (problem_id)
        join stg_rationales as r using (rationale_id)
        left join stg_difficulties as d on d.problem_id = e.problem_id"""
    )
    assert rows.keys() == {row["example_id"] for row in stored}
    for row in stored:
        found = rows[row["example_id"]]
        assert [turn["content"] for turn in found["messages"]] == [row["prompt"], row["completion"]]
        assert found["rationale"] == row["text"]
        for name in ("question", "answer", "num_tokens", "condition", "level", "rationale_id"):
            assert found[name] == row[name]
    writers = {row["teacher"] for row in rows.values()}
    assert writers <= {LONG, MIDDLE, "Qwen2.5-Math", *GSM8K_WRITERS}
    told = json.loads((snapshots(made.recipe) / "provenance.json").read_text())
    assert told["run_id"] == made.rows("from stg_runs")[0]["run_id"]
    assert told["prompts"]
    for name, sha in told["prompts"].items():
        assert sha == prompt_sha(*name.split("__"))


@each_recipe
def test_the_card_renders(made: Made, snapshots: Callable[[str], Path]) -> None:
    """As a hub would show it: front matter read as YAML, Markdown to HTML, every table whole."""
    from datasets import load_dataset_builder

    folder = snapshots(made.recipe)
    _, front, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["configs"]
    text, tables = rendered(body)
    assert len(tables) >= 5
    for table in tables:
        widths = {len(row) for row in table}
        assert len(widths) == 1, table
        assert min(widths) >= 2, table
    cells = [cell for table in tables for row in table for cell in row]
    assert not {"None", "nan", "NaN", "null", "not recorded"} & set(cells)
    assert "Apache-2.0 | for tests" in cells  # a border in a licence breaks no table
    for leftover in ("|---", "{{", "{%", "**", "`"):
        assert leftover not in text
    assert f"{made.count('stg_examples')} training examples" in text
    features = load_dataset_builder(str(folder)).info.features
    assert features is None or "messages" in features


def rendered(markdown: str) -> tuple[str, list[list[list[str]]]]:
    """The page's text, and its tables' rows of cells."""
    import xml.etree.ElementTree as ElementTree

    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark", {"xhtmlOut": True}).enable("table").render(markdown)
    root = ElementTree.fromstring(f"<page>{page}</page>")
    tables = [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in root.iter("table")
    ]
    return "".join(root.itertext()), tables


def sum_of(made: Made, stage: str) -> int:
    """Requests the rows of a stage were paid with."""
    (row,) = made.rows(
        f"select sum(num_requests)::int as n from usage_events where stage = '{stage}'"
    )
    return int(row["n"])
