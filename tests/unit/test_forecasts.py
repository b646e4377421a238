"""Students forecast from their training sets: the rows, the refusals, the command, the flow."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows.cli.main import app
from flows.forecast import _compare, _forecast
from flows.session import open_session
from infra.runs.forecasts import candidate_of, evaluated_students
from infra.runs.weights import WEIGHTS
from infra.storage import Corpus, CorpusWriter
from sql.database import connect
from tasks.forecasts.config import ForecastConfig
from tasks.forecasts.features import Candidate, Group, Result, TrainingSet
from tasks.forecasts.students import TooFewStudentsError, forecast, quality
from tasks.schemas import Difficulty
from tests.unit.forecast_corpus import (
    BENCHMARK,
    LONG,
    NUM_QUESTIONS,
    SHORT,
    STUDENTS,
    Made,
    plan_of,
    write_students,
)

CONFIG = ForecastConfig()
PLAIN = Group(base="b", benchmark="gsm8k", settings=None, compress=False)
SET = TrainingSet(
    num_examples=100, share_compressed=0.5, tokens=80, tokens_original=100, tokens_compressed=60,
    compression_rate=0.6, mean_rounds=2, share_easy=0.2, share_medium=0.5, share_hard=0.3,
    share_kept=0.3, ppl_examples=None, ppl_rationales=3.0, epochs=3, num_steps=30,
    train_tokens=24_000,
)  # fmt: skip


def result(number: int, *, group: Group = PLAIN, **training: Any) -> Result:
    """A student whose accuracy follows the number of its examples."""
    num_examples = 100 + 50 * number
    return Result(
        model_id=f"m{number}", recipe="r", group=group, accuracy=0.2 + 0.05 * number,
        tokens=100 + 10 * number, num_questions=200,
        training=replace(SET, **{"num_examples": num_examples, **training}),
    )  # fmt: skip


def candidate(**training: Any) -> Candidate:
    return Candidate(
        recipe="new", model_id="new", base="b", data_fingerprint="d",
        training=replace(SET, **training),
    )  # fmt: skip


# --- of rows


def test_below_the_number_it_refuses_and_says_how_many_there_are() -> None:
    with pytest.raises(TooFewStudentsError) as refused:
        forecast([result(n) for n in range(7)], [candidate()], CONFIG)
    assert "needs 8 evaluated students of b that differ" in str(refused.value)
    assert "the corpus has 7 (on gsm8k)" in str(refused.value)
    assert refused.value.exit_code == 2
    again = [replace(result(n % 2), model_id=f"again{n}") for n in range(20)]
    with pytest.raises(TooFewStudentsError, match="the corpus has 2"):
        quality(again, CONFIG)  # twenty students of two training sets
    with pytest.raises(TooFewStudentsError, match="the corpus has 0"):
        forecast([], [candidate()], CONFIG)


@pytest.mark.parametrize(
    "other",
    [replace(PLAIN, settings='{"temperature": 1}'), replace(PLAIN, benchmark="aime24"),
     replace(PLAIN, base="another"), replace(PLAIN, compress=True)],
)  # fmt: skip
def test_students_evaluated_otherwise_are_never_put_together(other: Group) -> None:
    some = [result(n, group=PLAIN if n % 2 else other) for n in range(14)]
    with pytest.raises(TooFewStudentsError, match="has 7"):
        forecast(some, [candidate()], CONFIG)


def test_a_student_is_not_forecast_from_itself() -> None:
    known = [result(n) for n in range(9)]
    own = replace(candidate(), model_id="m4")
    assert {row.num_models for row in forecast(known, [own], CONFIG).forecasts} == {8}


def test_candidates_of_other_bases_do_not_disturb_and_one_known_already_stands_by_itself() -> None:
    known = [result(n) for n in range(9)]
    alone = forecast(known, [candidate()], CONFIG).forecasts
    others = [replace(candidate(ppl_rationales=None), model_id="x", base="another"),
              replace(candidate(), model_id="m4")]  # fmt: skip
    found = forecast(known, [candidate(), *others], CONFIG).forecasts
    assert found[:2] == alone
    assert [(row.model_id, row.num_models) for row in found[2:]] == [("m4", 8)] * 2


def test_an_evaluation_that_has_only_begun_does_not_count() -> None:
    known = [result(n) for n in range(8)]
    begun = replace(result(20), num_questions=5, accuracy=1.0)
    (accuracy, _) = forecast([*known, begun], [candidate()], CONFIG).forecasts
    assert accuracy.num_models == 8


@given(st.permutations(range(10)))
@settings(max_examples=5, deadline=None)
def test_the_order_of_students_does_not_matter(order: Sequence[int]) -> None:
    known = [result(n) for n in range(10)]
    assert (
        forecast([known[n] for n in order], [candidate()], CONFIG).forecasts
        == forecast(known, [candidate()], CONFIG).forecasts
    )


UNKNOWN = st.sampled_from([None, float("nan"), float("inf"), 0.0])


@given(unknown=UNKNOWN, of_candidate=st.booleans())
@settings(max_examples=8, deadline=None)
def test_a_feature_that_is_not_known_of_all_is_left_out_and_told(
    unknown: float | None, of_candidate: bool
) -> None:
    known = [result(n, ppl_rationales=2.0 + n) for n in range(9)]
    asked = candidate(ppl_rationales=unknown) if of_candidate else candidate()
    if not of_candidate:
        known[3] = result(3, ppl_rationales=unknown)
    outlook = forecast(known, [asked], CONFIG)
    assert outlook.unknown == ("log_ppl_rationales",)
    for row in outlook.forecasts:
        assert "log_ppl_rationales" not in json.loads(row.used)
        assert row.low <= row.predicted <= row.high
        json.dumps(json.loads(row.features), allow_nan=False)


def test_one_perplexity_is_used_and_that_of_whole_examples_goes_before() -> None:
    known = [result(n, ppl_examples=4.0 + n) for n in range(9)]
    (row, _) = forecast(known, [candidate(ppl_examples=5.0)], CONFIG).forecasts
    assert {name for name in json.loads(row.used) if "ppl" in name} == {"log_ppl_examples"}
    outlook = forecast(known, [candidate()], CONFIG)  # nobody measured the new one
    assert outlook.unknown == ()
    used = json.loads(outlook.forecasts[0].used)
    assert {name for name in used if "ppl" in name} == {"log_ppl_rationales"}


def test_accuracies_stay_within_0_and_1_and_an_answer_more_is_always_possible() -> None:
    known = [replace(result(n), accuracy=0.0) for n in range(8)]
    accuracy, tokens = forecast(known, [candidate(num_examples=10**6)], CONFIG).forecasts
    assert (accuracy.predicted, accuracy.low) == (0.0, 0.0)
    assert accuracy.high == pytest.approx(1 / 200)
    assert tokens.low > 0


# --- of a corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast") / "corpus"
    write_students(folder, STUDENTS, untrained=[SHORT, LONG])
    return folder


def litecot(*arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def recipe_file(folder: Path, name: str, made: Made) -> Path:
    """A recipe like nano, whose corpus is that of `made`."""
    from flows.recipes.loading import shipped_recipes

    text = shipped_recipes()["nano"].read_text().replace("seed = 7", f"seed = {made.seed}")
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_features_of_a_training_set_are_those_of_its_rows(corpus: Path) -> None:
    recipe, plan = plan_of(LONG)
    with connect(Corpus(corpus).parts()) as database:
        found = candidate_of(database, plan, recipe.train)
        features = {row["data_fingerprint"]: row for row in
                    database.rows_of("training_features").records()}  # fmt: skip
        students = evaluated_students(database)
    assert found is not None
    assert found.training == TrainingSet(
        num_examples=12, share_compressed=0.5, tokens=127.5, tokens_original=170.0,
        tokens_compressed=85.0, compression_rate=0.5, mean_rounds=1.5, share_easy=None,
        share_medium=None, share_hard=None, share_kept=1.0, ppl_examples=None,
        ppl_rationales=pytest.approx(2.5), epochs=10, num_steps=10.0, train_tokens=14_025.0,
    )  # fmt: skip
    assert len(features) == len(STUDENTS)  # each with the examples that it learnt from
    assert len(students) == 2 * len(STUDENTS)
    told = {round(one.tokens): one for one in students if not one.group.compress}
    first = STUDENTS[0]
    assert told[first.tokens].accuracy == first.num_right(compress=False) / NUM_QUESTIONS
    assert told[first.tokens].group.settings == '{"temperature": 0}'


def test_levels_by_quantile_are_those_that_the_run_itself_reads(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    write_students(folder, [], untrained=[LONG, SHORT])
    recipe, plan = plan_of(LONG)
    with connect(Corpus(folder).parts()) as database:
        database.set_run(plan.run_id, dict(plan.fingerprints))
        ids = [row["problem_id"] for row in database.rows_of("stg_problems").records()]
    graded = [
        Difficulty(
            problem_id=problem_id, difficulty=number // 2 / 10, thresholds="quantile",
            medium_from=0.4, hard_from=0.75,
        )
        for number, problem_id in enumerate(ids)
    ]  # fmt: skip
    fingerprint = plan.fingerprints["difficulty"]
    with CorpusWriter(folder) as writer:
        for row in graded:
            writer.finish(row.problem_id, [row], stage_fingerprint=fingerprint, run_id=plan.run_id)
    with connect(Corpus(folder).parts()) as database:
        found = candidate_of(database, plan, recipe.train)
        levels = [row["level"] for row in database.rows_of("stg_difficulties").records()]
    assert found is not None
    told = found.training
    shares = {"easy": told.share_easy, "medium": told.share_medium, "hard": told.share_hard}
    assert shares == {level: pytest.approx(levels.count(level) / 6) for level in shares}
    assert set(levels) == {"easy", "medium", "hard"}


def test_candidates_are_ranked_and_stored_and_compared(corpus: Path, tmp_path: Path) -> None:
    short, long = recipe_file(tmp_path, "short", SHORT), recipe_file(tmp_path, "long", LONG)
    asked = ("forecast", short, long, "--corpus", corpus)
    code, out, _ = litecot(*asked, "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 2 * 2 * 2
    plain = [row for row in rows if row["compress"] == "False" and row["target"] == "accuracy"]
    assert [(row["rank"], row["recipe"]) for row in plain] == [("1", str(long)), ("2", str(short))]
    for row, made in zip(plain, (LONG, SHORT), strict=True):
        truth = made.num_right(compress=False) / NUM_QUESTIONS
        assert float(row["low"]) <= truth <= float(row["high"])
        assert float(row["loo_error"]) < 0.5 * float(row["loo_error_of_mean"])
        assert row["num_models"] == str(len(STUDENTS))
    code, out, _ = litecot(*asked)
    assert "leaving one out accuracy" in out
    assert "(saying the mean: " in out
    write_students(corpus, [LONG], untrained=[])  # now somebody trains it
    code, out, _ = litecot(
        "sql", "from forecasts_against_truth order by compress, target", "--corpus", corpus,
        "--format", "json",
    )  # fmt: skip
    stored = json.loads(out)
    assert [(one["target"], one["is_told_before"]) for one in stored] == [
        ("accuracy", True), ("tokens", True), ("accuracy", True), ("tokens", True)
    ]  # fmt: skip
    assert all(one["is_inside"] for one in stored if one["target"] == "accuracy")


def test_how_good_the_forecasts_of_a_corpus_are(corpus: Path) -> None:
    code, out, _ = litecot("forecast", "--corpus", corpus, "--on", BENCHMARK, "--format", "json")
    assert code == 0
    rows = json.loads(out)
    assert {(row["target"], row["compress"]) for row in rows} == {
        (target, compress) for target in ("accuracy", "tokens") for compress in (False, True)
    }
    for row in rows:
        assert row["loo_error"] < 0.5 * row["loo_error_of_mean"]
        assert row["rank_correlation"] > 0.8
        assert row["share_inside"] >= 0.75


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nano", "--seed", "999"), "has no examples of recipe nano under these settings"),
        (("nano", "--seed", "101", "--set", "forecast.min_models=50"), "needs 50 evaluated"),
        (("nano", "--seed", "101", "--on", "nano:evil"), "did you mean 'nano:eval'?"),
        (("nano", "--seed", "101", "--format", "xml"), "choose one of"),
        (("--set", "train.epochs=3"), "only forecast.* can be set"),
        (("--set", "forecast.min_models=2"), "greater than or equal to 4"),
        (("nanno",), "no recipe 'nanno'"),
    ],
)
def test_what_is_refused_is_a_line(corpus: Path, arguments: Sequence[str], told: str) -> None:
    code, out, err = litecot("forecast", *arguments, "--corpus", corpus)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_recipe_without_examples_is_named_and_the_others_are_ranked(
    corpus: Path, tmp_path: Path
) -> None:
    short, new = (
        recipe_file(tmp_path, name, made)
        for name, made in (("short", SHORT), ("new", Made(seed=999, tokens=1)))
    )
    code, out, err = litecot("forecast", new, short, "--corpus", corpus)
    assert code == 0
    assert f"so it is not ranked: `litecot run {new}` with the same options makes them" in err
    assert "│    1 │" in out


def test_a_corpus_that_is_written_to_is_forecast_and_says_that_nothing_is_stored(
    corpus: Path, tmp_path: Path
) -> None:
    short = recipe_file(tmp_path, "short", SHORT)
    with CorpusWriter(corpus):
        code, out, _ = litecot("forecast", short, "--corpus", corpus)
    assert code == 0
    assert "not stored: " in out


# --- in the flow


def test_the_flow_forecasts_before_it_trains_and_compares_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    write_students(folder, STUDENTS, untrained=[LONG])
    with open_session(LONG.order(folder)) as opened:
        plain, compressed = _forecast(opened)
        assert plain.startswith("nano:eval, plain: accuracy ")
        assert compressed.startswith("nano:eval, with <compress>: accuracy ")
        assert "from 12 students; leaving one out accuracy " in plain
        assert _compare(opened) == []  # nobody has evaluated it yet
    write_students(folder, [LONG], untrained=[])
    with open_session(LONG.order(folder)) as opened:
        assert _forecast(opened) == []  # it is trained
        told = _compare(opened)
    truth = LONG.num_right(compress=False) / NUM_QUESTIONS
    assert len(told) == 4
    assert "accuracy forecast as " in told[0]
    assert f" came to {truth:.0%}, within the interval" in told[0]


def test_a_flow_with_too_few_students_says_so_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    write_students(folder, STUDENTS[:3], untrained=[LONG])
    with open_session(LONG.order(folder)) as opened:
        started = time.process_time()
        lines = _forecast(opened)
        taken = time.process_time() - started
    assert lines == [
        "none, it needs 8 evaluated students of nano:student, and the corpus has trained 3"
    ]
    assert taken < 1  # 0.2 s: the corpus is opened; with scikit-learn and features it is 1.3
    assert not (folder / WEIGHTS).exists()
