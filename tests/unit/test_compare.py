"""`litecot compare`: the words, the table, the flips and the exit codes, on a corpus of our own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.comparison.compared import NothingInCommonError, compare_models
from flows.comparison.gate import judged
from flows.comparison.named import UnknownModelError, find_models
from flows.comparison.words import sentences, shortened
from infra.storage import Corpus, CorpusWriter
from sql.database import Database, connect
from tasks.errors import UsageError
from tasks.schemas import Evaluation, Membership, Model, Problem, Row, Run

RUNNER = CliRunner()
SETTINGS = '{"max_tokens": 200, "temperature": 0.6}'
HOTTER = '{"max_tokens": 200, "temperature": 1.0}'
BASE = "nano:student"
FINGERPRINTS = {"evaluate-base": "fp-base", "evaluate-trained": "fp-trained"}
RUN = Run(recipe="r", resolved="{}", fingerprints=json.dumps(FINGERPRINTS), versions="{}")
NUM_QUESTIONS = 200
PROBLEMS = [
    Problem(
        source="sums", question=f"What is {i} + 1?" + " Think." * 60 * (i == 0) + " Now.",
        answer=str(i + 1), answer_type="integer",
    )
    for i in range(NUM_QUESTIONS)
]  # fmt: skip
IDS = sorted(problem.content_id() for problem in PROBLEMS)
STUDENT = Model(
    base=BASE, recipe="r", data_fingerprint="d", path="weights/m", num_parameters=1,
    num_examples=2, num_steps=3, train_tokens=4, train_loss=0.5, train_seconds=6.0, world_size=1,
)  # fmt: skip
TRAINED = STUDENT.content_id("fp-train")
SHORT = TRAINED[:8]


def asked(
    model: str, verdicts: Sequence[str], *, tokens: float = 100, role: str = "base",
    samples: int = 1, **columns: Any,
) -> list[Row]:  # fmt: skip
    """A verdict a question, in the order of their ids; a second sample repeats it."""
    known: dict[str, Any] = {"benchmark": "sums", "settings": SETTINGS, "compress": False}
    return [
        Evaluation(
            model_id=model, role=role, problem_id=IDS[place], sample=sample, text="so",
            num_tokens=int(tokens + place % 7), verdict=verdict,
            extracted_answer={"correct": "1", "wrong": "7"}.get(verdict), latency_s=0.5,
            finish_reason="length" if verdict == "truncated" else "stop", **{**known, **columns},
        )
        for place, verdict in enumerate(verdicts)
        for sample in range(samples)
    ]  # fmt: skip


def marks(*counts: int) -> list[str]:
    """So many right, so many wrong, and so on in turn."""
    words = ["correct", "wrong"] * 2
    return [
        word for word, count in zip(words, counts, strict=False)
        for _ in range(count)
    ]  # fmt: skip


def write(folder: Path, rows: Sequence[Row]) -> Path:
    """A corpus in which one run evaluated `rows` on all problems."""
    members = [
        Membership(
            member_of=RUN.content_id(), problem_id=one, split="eval", shard=0, position=place
        )
        for place, one in enumerate(IDS)
    ]
    with CorpusWriter(folder) as writer:
        for number, row in enumerate([RUN, *PROBLEMS, *members, *rows]):
            stage = "fp-train" if isinstance(row, Model) else "fp-ingest"
            if isinstance(row, Evaluation):
                is_other = row.settings != SETTINGS or row.benchmark != "sums"
                stage = f"fp-{row.benchmark}-{row.settings}" if is_other else f"fp-{row.role}"
            writer.finish(f"i{number}", [row], stage_fingerprint=stage, run_id=RUN.content_id())
    return folder


# Base: 100 right. Student plain: 40 of them lost 10, and 50 of the others won: 140.
EVERYTHING = [
    STUDENT,
    *asked(BASE, marks(100, 100)),
    *asked(TRAINED, marks(0, 10, 140, 50), role="trained", tokens=50),
    *asked(BASE, marks(0, 10, 90, 100), compress=True),
    *asked(TRAINED, marks(0, 12, 88, 100), role="trained", tokens=30, compress=True),
    *asked("qwen", marks(60, 140)),
    *asked("hot", marks(60, 140), settings=HOTTER),
    *asked("few", marks(60), tokens=100),
    *asked("alone", marks(1)),
    *asked("one_family", marks(100, 100), family="f"),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("compare") / "corpus", EVERYTHING)


@pytest.fixture(scope="module")
def database(corpus: Path) -> Database:
    with CorpusWriter(corpus) as writer:
        return connect(writer.parts())


def compare(corpus: Path, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = RUNNER.invoke(app, ["compare", *map(str, arguments), "--corpus", str(corpus)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_words_of_a_student_that_is_better_and_shorter(tmp_path: Path) -> None:
    corpus = write(tmp_path / "corpus", EVERYTHING[: 1 + 2 * NUM_QUESTIONS])
    code, out, err = compare(
        corpus, "base", "trained", "--compress", "plain", "--run", RUN.content_id()
    )
    assert (code, err) == (0, "")
    said = out.splitlines()[0]
    assert said.startswith(
        f"sums, plain (200 questions): the trained student {SHORT} is right on 70.0%, its base "
        "nano:student on 50.0%: 20.0 points more (95% interval "
    )
    assert "50 questions won, 10 lost), better. It writes 0.51 times the tokens (0.5" in said
    assert said.endswith("), shorter.")


def test_words_are_about_one_thing_the_same_everywhere(database: Database) -> None:
    """What a flow or a report says is what the command says."""
    compared = compare_models(database, [BASE, SHORT])
    assert [row.asked.prompt for row in compared.rows] == ["plain", "<compress>"]
    plain, compressed, many = sentences(compared)
    assert plain.startswith("sums, plain (200 questions): ")
    assert "sums, <compress> (200 questions): " in compressed
    assert "1.0 points less" in compressed
    assert "0 questions won, 2 lost), undecided: here only " in compressed
    assert many.startswith("2 comparisons were made")


def test_the_table_has_a_row_a_benchmark_and_prompt(corpus: Path) -> None:
    _, out, _ = compare(corpus, BASE, TRAINED[:5])
    head, first, second = (line for line in out.splitlines() if line.startswith(("┃", "│")))
    for title in ("points more", "exact p", "won/lost", "times the tokens", "detects from"):
        assert title in head
    for cell in (SHORT, "plain", "50.0% (43.1% to 56.9%)", "70.0% (63.3% to 75.9%)", "<0.001",
                 "50/10", "+20.0 (", "0.0% / 0.0%", "better", "shorter"):  # fmt: skip
        assert cell in first
    for cell in ("<compress>", "-1.0 (", "0/2", "undecided", "shorter"):
        assert cell in second


def test_questions_that_flipped_are_shown_both_ways(corpus: Path) -> None:
    _, out, _ = compare(corpus, BASE, TRAINED, "--compress", "plain")
    _, flips = out.split("Questions that flipped:\n")
    lines = flips.splitlines()
    assert [line.split()[0] for line in lines[::3]] == ["won", "won", "lost", "lost"]
    assert lines[0].startswith(f"won by {SHORT} (sums, plain): What is ")
    assert lines[1].startswith("    nano:student: 7, wrong, 10")
    assert lines[2].startswith(f"    {SHORT}: 1, right, 5")


def test_more_models_are_each_held_against_the_baseline(corpus: Path) -> None:
    _, out, _ = compare(corpus, BASE, TRAINED, "qwen", "--compress", "plain", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["baseline"], row["model"], row["verdict"]) for row in rows] == [
        (BASE, TRAINED, "better"), (BASE, "qwen", "worse"),
    ]  # fmt: skip
    assert {row["num_comparisons"] for row in rows} == {"2"}
    assert rows[1]["tokens_verdict"] == "same"


def test_numbers_for_programs(corpus: Path) -> None:
    code, out, err = compare(corpus, BASE, TRAINED, "--compress", "plain", "--format", "json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)
    assert (row["num_questions"], row["num_won"], row["num_lost"]) == (200, 50, 10)
    assert row["difference"] == pytest.approx(0.2)
    assert row["difference_low"] < 0.2 < row["difference_high"]
    assert row["mcnemar_p"] == pytest.approx(1.7e-7, rel=0.1)
    assert row["seconds_ratio"] == 1.0
    assert row["settings"] == SETTINGS


def test_a_student_with_compress_against_itself_without(corpus: Path) -> None:
    """88 right of 200 with it against 140 without: 10, 11 and 100 to 149 are lost."""
    code, out, _ = compare(corpus, f"{SHORT}:plain", f"{SHORT}:compress")
    assert code == 0
    assert out.startswith(
        f"sums, <compress> against plain (200 questions): the trained student {SHORT} is right on "
        "44.0%, without <compress> on 70.0%: 26.0 points less (95% interval "
    )
    assert "0 questions won, 52 lost), worse. It writes 0.6" in out.splitlines()[0]
    assert f"    {SHORT}, plain: 1, right, 5" in out
    assert f"    {SHORT}, <compress>: 7, wrong, 3" in out


def test_one_prompt_of_the_baseline_against_both_of_a_model(corpus: Path) -> None:
    _, out, _ = compare(corpus, f"{BASE}:plain", TRAINED, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["baseline_compress"], row["compress"]) for row in rows] == [
        ("False", "False"), ("False", "True"),
    ]  # fmt: skip
    code, out, err = compare(corpus, f"{BASE}:plain", f"{BASE}:plain")
    assert (code, err) == (2, "litecot: nano:student:plain: nano:student is named twice\n")


# --- the gate


def test_a_model_that_is_worse_fails_the_gate(corpus: Path) -> None:
    code, out, err = compare(corpus, BASE, "qwen", "--fail-if-worse", "0.02")
    assert code == 1
    assert "qwen" in out
    assert err.startswith("litecot: sums, plain: qwen is right 20.0 points less often than nano:st")
    assert err.endswith(", more than the 2.0 allowed\n")


def test_a_loss_that_is_allowed_passes(corpus: Path) -> None:
    code, _, err = compare(corpus, BASE, "qwen", "--fail-if-worse", "0.25")
    assert code == 0
    assert err == (
        "litecot: sums, plain: a loss of more than 25.0 points is not ruled out (95% interval "
        "-25.6 to -14.4); more questions or samples would tell\n"
    )


def test_the_gate_is_silent_where_all_is_well(corpus: Path) -> None:
    arguments = (BASE, TRAINED, "--compress", "plain", "--fail-if-worse", "0.02")
    assert compare(corpus, *arguments)[::2] == (0, "")


def test_a_scheduled_run_has_the_same_verdict(corpus: Path) -> None:
    with connect(Corpus(corpus).parts()) as database:
        worse = judged(database, baseline=BASE, student="qwen", allowed=0.02)
        allowed = judged(database, baseline=BASE, student="qwen", allowed=0.25)
    (loss,) = worse.losses
    assert loss.startswith("sums, plain: qwen is right 20.0 points less often than nano:student")
    assert allowed.losses == ()
    assert "a loss of more than 25.0 points is not ruled out" in allowed.lines[-1]
    assert "| model | qwen |\n|---|---|\n| benchmark | sums |\n" in worse.page


def test_what_is_undecided_passes_with_a_word(tmp_path: Path) -> None:
    """Five points less, 8 questions lost and 6 won: no evidence of a loss, nor of none."""
    rows = [*asked(BASE, marks(20, 20)), *asked("other", marks(12, 8, 6, 14))]
    folder = write(tmp_path / "corpus", rows)
    code, out, err = compare(folder, BASE, "other", "--fail-if-worse", "0.02")
    assert code == 0
    assert "5.0 points less (95% interval" in out
    assert err.startswith("litecot: sums, plain: a loss of more than 2.0 points is not ruled out (")
    assert err.count("\n") == 1


# --- what has no answer


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((BASE,), "name two models or more; the first is the baseline"),
        ((BASE, BASE), "nano:student: nano:student is named twice"),
        ((BASE, "qwem"), "qwem: no model of this corpus. Did you mean 'qwen'? Evaluated are "),
        ((BASE, "nano"), "nano: nano:student is named twice"),
        (("base", "qwen"), "base: the run evaluated 5 base models; --run names another. Evalua"),
        ((BASE, "qwen", "--on", "gsm8k,sums"), "--on gsm8k: these models were not asked it. They"),
        ((BASE, "hot"), "nano:student and hot answered no question under the same settings: nano"
                        ":student was asked sums plain (200 questions; max_tokens 200, temperatur"
                        "e 0.6), sums <compress> (200 questions; max_tokens 200, temperature 0.6)"
                        "; hot was asked sums plain (200 questions; max_tokens 200, temperature 1"
                        ".0)"),
        ((BASE, "qwen", "--compress", "compress"), "nano:student and qwen answered no question u"),
        ((BASE, "qwen", "--format", "yaml"), "--format yaml: choose one of table, csv, json"),
    ],
)  # fmt: skip
def test_refusals_are_one_line(corpus: Path, arguments: tuple[str, ...], line: str) -> None:
    code, out, err = compare(corpus, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"litecot: {line}")
    assert err.count("\n") == 1


def test_the_start_of_an_id_has_to_be_of_one_model(tmp_path: Path) -> None:
    rows = [*asked("m1", marks(5)), *asked("m2", marks(5)), *asked(BASE, marks(5)), STUDENT]
    folder = write(tmp_path / "corpus", rows)
    with CorpusWriter(folder) as writer:
        database = connect(writer.parts())
    with pytest.raises(
        UnknownModelError, match=r"m: several models start so\. Evaluated are m1, m2"
    ):
        find_models(database, ["m"])
    with pytest.raises(UnknownModelError, match=f"{SHORT} was trained, but nobody evaluated it"):
        find_models(database, [TRAINED])
    assert find_models(database, ["m1"])[0].num_answered == 5


def test_an_empty_corpus_says_that_nothing_was_evaluated() -> None:
    with pytest.raises(UnknownModelError, match=r"a: no model of this corpus\. None was evaluated"):
        compare_models(connect({}), ["a", "b"])


def test_one_question_in_common(corpus: Path) -> None:
    code, out, _ = compare(corpus, BASE, "alone", "--compress", "plain")
    assert code == 0
    assert "(1 question that both answered, of 200)" in out
    assert "as often (no interval; 0 questions won, 0 lost), undecided: one family" in out


def test_questions_of_one_family_give_no_interval(corpus: Path) -> None:
    _, out, _ = compare(corpus, "one_family", "qwen")
    assert "(200 questions in 1 family)" in out
    assert "(no interval; 0 questions won, 40 lost), undecided: one family of questions" in out


def test_models_that_are_always_right(corpus: Path) -> None:
    """Sixty questions, all right: equal here, and still not known to be equal within 2 points."""
    _, out, _ = compare(corpus, BASE, "few", "--compress", "plain")
    assert "(60 questions that both answered, of 200): few is right on 100.0%, nano" in out
    assert "0 questions won, 0 lost), undecided" in out
    assert "It writes 1.00 times the tokens (1.00 to 1.00), same." in out
    _, out, _ = compare(corpus, BASE, "few", "--compress", "plain", "--margin", "0.1")
    assert "equivalent within 10.0 points either way" in out


def test_samples_are_averaged_by_question(tmp_path: Path) -> None:
    first = asked(BASE, marks(10, 10), samples=4)
    second = asked("other", marks(10, 10), samples=4)
    for place in (40, 41, 42):  # three of four samples of question 10 come right
        second[place] = replace(second[place], verdict="correct", extracted_answer="1")  # type: ignore[type-var]
    folder = write(tmp_path / "corpus", [*first, *second])
    code, out, _ = compare(folder, BASE, "other")
    assert code == 0
    assert "(20 questions, 4 samples each): other is right on 53.8%, nano:student on 50.0%" in out
    assert "3.8 points more" in out
    assert "    nano:student: 0 of 4 right, e.g. 7, 103 tokens on average" in out
    assert "    other: 3 of 4 right, e.g. 1, 103 tokens on average" in out


def test_answers_of_other_settings_are_apart(tmp_path: Path) -> None:
    both = [
        *asked(BASE, marks(10, 10)), *asked("other", marks(12, 8)),
        *asked(BASE, marks(5, 15), settings=HOTTER), *asked("other", marks(4, 16), settings=HOTTER),
        *asked("other", marks(4), benchmark="others"),
    ]  # fmt: skip
    folder = write(tmp_path / "corpus", both)
    _, out, _ = compare(folder, BASE, "other")
    assert (
        "sums, plain, max_tokens 200, temperature 0.6 (20 questions): other is right on 60" in out
    )
    assert (
        "sums, plain, max_tokens 200, temperature 1.0 (20 questions): other is right on 20" in out
    )
    assert "Left out, as only one of the two was asked it so: other: others, plain." in out


def test_answers_that_were_cut_off_are_counted(tmp_path: Path) -> None:
    rows = [*asked(BASE, marks(10, 10)), *asked("other", [*marks(10, 5), *["truncated"] * 5])]
    _, out, _ = compare(write(tmp_path / "corpus", rows), BASE, "other")
    assert "Cut off at the limit of tokens: 25.0% of its answers, 0.0% of the baseline's." in out


def test_what_a_model_wrote_is_text(tmp_path: Path) -> None:
    hostile = "\x1b[31mred[/bold]"
    rows = [
        *asked(f"a{hostile}", marks(10)),
        *asked("b", marks(0, 10), benchmark="sums"),
    ]
    rows[-1] = replace(rows[-1], extracted_answer=hostile)  # type: ignore[type-var]
    folder = write(tmp_path / "corpus", rows)
    code, out, _ = compare(folder, "a", "b")
    assert code == 0
    assert "\x1b" not in out
    assert "a\\x1b[31mred[/bold]" in out


def test_libraries_say_what_the_command_says(database: Database) -> None:
    with pytest.raises(NothingInCommonError):
        compare_models(database, [BASE, "hot"])
    with pytest.raises(UsageError):
        compare_models(database, [BASE])


def test_a_long_question_keeps_its_beginning_and_its_end() -> None:
    text = shortened("What is 1 + 1?\n" + "Think. " * 60 + "Answer now.", 60)
    assert len(text) <= 60
    assert text.startswith("What is 1 + 1? Think.")
    assert text.endswith("Answer now.")
    assert " ... " in text


def test_a_student_evaluated_by_itself_afterwards_is_still_the_trained_one(tmp_path: Path) -> None:
    """`litecot evaluate` asks it as it would any model, in the role base."""
    later = asked(TRAINED, marks(5), role="base", benchmark="tests")
    own = [row for row in EVERYTHING if getattr(row, "model_id", BASE) in (BASE, TRAINED)]
    folder = write(tmp_path / "corpus", [*own, *later])
    with connect(Corpus(folder).parts()) as database:
        found = find_models(database, ["base", "trained"])
    assert [one.model_id for one in found] == [BASE, TRAINED]
