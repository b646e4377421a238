"""`litecot corpus size`, `compact`, `prune`: what is said is so, and no row that is needed goes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from infra.storage import Corpus, CorpusWriter
from infra.storage.local import LocalStore
from tasks.schemas import TABLES, Evaluation, Invocation, Membership, Row, Run
from tests.killed import kill_at, num_published
from tests.unit import sample_corpus as sample
from tests.unit.test_storage import finish, questions, shown, stored

# A younger run: of the same settings up to the rewrite, on one of the first run's problems.
FINGERPRINTS = {
    **{stage: f"fp3-{stage}" for stage in sample.STAGES},
    "generate": "fp-generate", "rewrite": "fp-rewrite",
}  # fmt: skip
YOUNG = Run(
    recipe="young", resolved="{}", fingerprints=json.dumps(FINGERPRINTS), versions="{}",
    num_problems=1,
)  # fmt: skip
YOUNG_ID = YOUNG.content_id()
WEIGHTS = {"model.bin": b"w" * 1000, "deep/vocab": b"v" * 234}


def write_young(folder: Path, rows: Sequence[tuple[str, Row]] = ()) -> None:
    member = Membership(
        member_of=YOUNG_ID, problem_id=sample.P0, split="train", shard=0, position=0
    )
    seen = Invocation(
        started_at="2100-01-01T00:00:00", finished_at="2100-01-01T00:01:00", status="done",
        stage_seconds="{}", stage_rows="{}", num_requests=0, num_repeated=0,
    )  # fmt: skip
    with CorpusWriter(folder) as writer:
        for stage, row in [("", YOUNG), ("", member), ("", seen), *rows]:
            writer.finish(
                "x", [row], stage_fingerprint=FINGERPRINTS.get(stage, ""), run_id=YOUNG_ID
            )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: the young one, the sample's and, the oldest, the sample's other."""
    folder = tmp_path_factory.mktemp("care") / "sample"
    sample.write_sample(folder)
    write_young(folder)
    for name, content in WEIGHTS.items():
        path = folder / "weights" / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "corpus")


def copied(corpus: Path, to: Path) -> Path:
    """With its hard links, as `cp -a` does it: parts have two names."""
    subprocess.run(["cp", "-a", corpus, to], check=True)
    return to


def command(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["corpus", *map(str, arguments)])
    assert "Traceback" not in done.stderr
    return done.exit_code, done.stdout, done.stderr


def told(*arguments: object) -> Any:
    code, out, err = command(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def ids(corpus: Path) -> dict[str, list[str]]:
    return {
        table: sorted(str(row[row_type.key]) for row in stored(corpus, table))
        for table, row_type in TABLES.items()
    }


def bytes_on_disk(corpus: Path, *, without: Sequence[str] = ()) -> int:
    """Of all files, whatever names each has."""
    files = {path.stat().st_ino: path for path in corpus.rglob("*") if path.is_file()}
    return sum(
        path.stat().st_size for path in files.values()
        if path.relative_to(corpus).parts[0] not in without
    )  # fmt: skip


OURS = ("_manifest.json", "_lock", "_journal")


# --- size


def test_size_is_what_the_disk_and_the_rows_say(corpus: Path) -> None:
    sizes = told("size", "--corpus", corpus)
    assert sizes["bytes"] == bytes_on_disk(corpus)
    assert sizes["students"] == {"weights/m": 1234}
    rows = {one["table"]: one["num_rows"] for one in sizes["tables"]}
    assert rows == {table: len(found) for table, found in ids(corpus).items()}
    (rationales,) = [one for one in sizes["tables"] if one["table"] == "rationales"]
    files = Corpus(corpus).parts()["rationales"]
    chains = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert rationales["num_bytes"] == sum(Path(file).stat().st_size for file in files)
    assert rationales["num_tokens"] == sum(row["num_tokens"] for row in chains)
    paid = sum(row["prompt_tokens"] + row["completion_tokens"] for row in chains)
    assert rationales["paid_tokens"] == paid
    kinds = {one["kind"]: one["num_rows"] for one in sizes["kinds"]}
    assert kinds == {"long": 5, "rewritten": 1, "compressed": 2}
    runs = {one["run_id"]: one for one in sizes["runs"]}
    assert [*runs] == [YOUNG_ID, sample.RUN_ID, sample.OTHER_ID]  # the one seen last first
    assert runs[sample.OTHER_ID]["num_rows"] == 3
    assert runs[sample.RUN_ID]["weights_bytes"] == 1234
    in_parts = sum(one["num_bytes"] for one in sizes["tables"])
    assert abs(sum(run["num_bytes"] for run in runs.values()) - in_parts) < len(runs)
    code, out, _ = command("size", "--corpus", corpus)
    assert code == 0
    assert re.search(r"rationales +│ +2 │ +8 │", out)


# --- compact


def test_compacted_tables_are_few_parts_with_the_same_rows_in_order(corpus: Path) -> None:
    before = {table: stored(corpus, table) for table in TABLES}
    code, out, _ = command("compact", "--corpus", corpus)
    assert code == 0
    assert out.startswith(f"{corpus}: 22 parts are 16 now; ")
    assert {table: stored(corpus, table) for table in TABLES} == before
    assert all(len(files) == 1 for files in Corpus(corpus).parts().values())
    superseded = told("size", "--corpus", corpus)["files"]["superseded"]
    assert superseded > 0
    assert command("check", "--corpus", corpus)[0] == 0
    assert command("prune", "--leftovers", "--yes", "--corpus", corpus)[0] == 0
    assert "superseded" not in told("size", "--corpus", corpus)["files"]


def test_compacting_and_pruning_are_refused_while_somebody_writes(corpus: Path) -> None:
    with CorpusWriter(corpus):
        for asked in (["compact"], ["prune", "--keep-runs", "1", "--yes"]):
            code, _, err = command(*asked, "--corpus", corpus)
            assert code == 2
            assert re.fullmatch(
                r"litecot: .*corpus: is being written by process \d+ on .*; wait for it or stop it,"
                r" or pass another --corpus\n", err,
            )  # fmt: skip


def test_killed_while_it_compacts_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        for number in range(8):
            finish(writer, number)
            writer.flush()
    expected = [f"q{number}" for number in range(8)]
    for at in (2, 3):  # after the merged part, after the manifest that names it
        copy = copied(tmp_path / "c", tmp_path / str(at))
        kill_at(at, "corpus", "compact", "--corpus", copy)
        assert questions(copy) == expected
        assert command("compact", "--corpus", copy)[0] == 0
        assert questions(copy) == expected
        assert command("check", "--corpus", copy)[0] == 0


# --- prune


def fates(planned: Any) -> dict[str, bool]:
    return {run["run_id"]: run["stays"] for run in planned["runs"]}


def test_a_dry_run_says_to_the_byte_what_pruning_then_frees(corpus: Path) -> None:
    before, size = ids(corpus), bytes_on_disk(corpus, without=OURS)
    planned = told("prune", "--keep-runs", "1", "--dry-run", "--corpus", corpus)
    assert fates(planned) == {YOUNG_ID: True, sample.RUN_ID: False, sample.OTHER_ID: False}
    assert (ids(corpus), bytes_on_disk(corpus, without=OURS)) == (before, size)
    assert planned["files"]["weights"] == 1234
    assert planned["bytes"] == sum(planned["files"].values()) > 30_000
    code, _, err = command("prune", "--keep-runs", "1", "--yes", "--corpus", corpus)
    assert (code, err.count("\n")) == (0, 1)
    assert f"({planned['bytes']} bytes) are free" in err
    assert size - bytes_on_disk(corpus, without=OURS) == planned["bytes"]
    after = ids(corpus)
    for table, lost in {row["table"]: row["num_rows"] for row in planned["rows"]}.items():
        assert len(before[table]) - len(after[table]) == lost
    assert not (corpus / "weights").exists()
    assert command("check", "--corpus", corpus)[0] == 0


def test_what_a_kept_run_shares_with_one_that_goes_stays_with_all_it_was_made_from(
    corpus: Path,
) -> None:
    """The young run's rewrites are the sample's, and these were made from its chains."""
    assert command("prune", "--keep-runs", "1", "--yes", "--corpus", corpus)[0] == 0
    left = ids(corpus)
    assert left["problems"] == [sample.P0]
    assert left["runs"] == [YOUNG_ID]
    kept = [sample.LONG.id, sample.LONG_WRONG.id, sample.REWRITTEN.id]
    assert left["rationales"] == sorted(kept)
    assert [len(left[table]) for table in ("memberships", "scores", "examples", "models")] == [
        1, 0, 0, 0,
    ]  # fmt: skip
    with CorpusWriter(corpus) as writer:  # what went can be made again, what stayed is there
        again = [
            writer.finish(
                made.input_id, [made.row], run_id=sample.RUN_ID,
                stage_fingerprint=sample.FINGERPRINTS.get(made.stage, ""),
            )
            for made in (sample.LONG, sample.ROUND_1, sample.problem(1), sample.problem(0))
        ]  # fmt: skip
    assert again == [0, 1, 1, 0]


def test_a_run_whose_student_a_kept_run_evaluates_stays(corpus: Path) -> None:
    answer = Evaluation(
        model_id=sample.MODEL.id, role="trained", benchmark="b", problem_id=sample.P0,
        compress=False, text="1", num_tokens=1, verdict="correct", finish_reason="stop",
    )  # fmt: skip
    write_young(corpus, [("evaluate-trained", answer)])
    planned = told("prune", "--keep-runs", "1", "--dry-run", "--corpus", corpus)
    assert fates(planned) == {YOUNG_ID: True, sample.RUN_ID: True, sample.OTHER_ID: False}
    (why,) = [run["why"] for run in planned["runs"] if run["run_id"] == sample.RUN_ID]
    assert why == f"its student is evaluated by {YOUNG_ID}"
    assert command("prune", "--keep-runs", "1", "--yes", "--corpus", corpus)[0] == 0
    assert (corpus / "weights" / "m" / "model.bin").exists()
    assert command("check", "--corpus", corpus)[0] == 0


def test_runs_go_by_age_and_what_either_option_keeps_stays(corpus: Path) -> None:
    """The other run was made now; the others say they were seen in years to come."""
    planned = told("prune", "--older-than", "1h", "--dry-run", "--corpus", corpus)
    assert all(fates(planned).values())
    assert planned["bytes"] == 0
    planned = told("prune", "--older-than", "0h", "--dry-run", "--corpus", corpus)
    assert [*fates(planned).values()] == [True, True, False]
    both = ("--older-than", "0h", "--keep-runs", "3")
    assert all(fates(told("prune", *both, "--dry-run", "--corpus", corpus)).values())


def test_one_run_goes_by_its_name(corpus: Path) -> None:
    planned = told("prune", "--run", sample.OTHER_ID[:6], "--dry-run", "--corpus", corpus)
    assert fates(planned) == {YOUNG_ID: True, sample.RUN_ID: True, sample.OTHER_ID: False}
    for options, said in (
        (["--run", "nobody"], "--run nobody: is no run of this corpus"),
        (["--run", YOUNG_ID, "--keep-runs", "1"], "leave out --keep-runs and --older-than"),
    ):
        code, _, err = command("prune", *options, "--corpus", corpus)
        assert code == 2
        assert said in err


def test_without_yes_nobody_is_asked_and_nothing_goes(corpus: Path) -> None:
    before = bytes_on_disk(corpus)
    code, out, err = command("prune", "--keep-runs", "1", "--corpus", corpus)
    assert (code, bytes_on_disk(corpus)) == (2, before)
    assert "pass --yes to do it" in err or "pass --yes, or --dry-run to only look" in err
    assert re.search(r"to make it again costs \d+ requests and \d+ tokens, 0\.5 device hours", out)


@pytest.mark.parametrize(
    ("options", "said"),
    [([], "say what goes: --keep-runs 3"), (["--older-than", "30"], "e.g. 12h, 30d or 8w")],
)
def test_what_goes_has_to_be_said(corpus: Path, options: list[str], said: str) -> None:
    code, _, err = command("prune", *options, "--corpus", corpus)
    assert code == 2
    assert said in err


def test_a_kept_run_that_lost_problems_is_not_pruned_around(corpus: Path) -> None:
    """It does not know any more which rows it needs."""
    for path in shown(corpus, "memberships"):
        LocalStore(corpus).delete(f"memberships/{path.name}")
    CorpusWriter(corpus).close()  # sets them aside; no rerun comes
    code, _, err = command("prune", "--keep-runs", "1", "--yes", "--corpus", corpus)
    assert code == 2
    assert f"run {YOUNG_ID} (young) stays, and 1 problem of it were lost" in err


def test_leftovers_go_when_they_are_asked_for(corpus: Path) -> None:
    left = ("weights/.training/77/step-1/w", "weights/n/w", "weights/n.failed.log", "_quarantine/x")
    for name in (*left, "mine.txt"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(b"12345")
    planned = told("prune", "--leftovers", "--dry-run", "--corpus", corpus)
    assert planned["bytes"] == 5 * len(left)
    assert all(fates(planned).values())
    assert command("prune", "--leftovers", "--yes", "--corpus", corpus)[0] == 0
    assert [(corpus / name).exists() for name in (*left, "mine.txt")] == [False] * 4 + [True]


def test_killed_while_it_prunes_the_corpus_is_as_it_was_or_pruned(
    corpus: Path, tmp_path: Path
) -> None:
    prune = ("corpus", "prune", "--keep-runs", "1", "--yes", "--corpus")
    whole = ids(corpus)
    copy = copied(corpus, tmp_path / "done")
    last = num_published(*prune, copy)
    pruned = ids(copy)
    for back, left in ((3, whole), (2, pruned)):  # before and after the manifest that counts
        copy = copied(corpus, tmp_path / str(back))
        kill_at(last - back, *prune, copy)
        assert ids(copy) == left
        assert command("prune", "--keep-runs", "1", "--yes", "--corpus", copy)[0] == 0
        assert ids(copy) == pruned
        assert command("check", "--corpus", copy)[0] == 0
