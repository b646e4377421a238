"""`litecot run` into a bucket, real: its process tree is killed, then it goes on through 503s.

Every row is there once, and as a calm run into a folder has it.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.storage import Corpus
from sql.database import connect, names
from tasks.schemas import TABLES
from tests.integration.calm_corpus import ARGUMENTS, NUM_PROBLEMS, CalmCorpus
from tests.integration.crash import PER_INVOCATION, kill_tree, rows, unneeded
from tests.s3_server import S3Service, s3_service

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")
LONGEST_PAUSE_S = 1.5


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Service]:
    monkeypatch.setenv("LITECOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with s3_service() as running:
        yield running


def command(url: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "flows.cli.main", *arguments, "--corpus", url]


def litecot(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(url, *arguments), capture_output=True, text=True, timeout=300)


def run_until_killed(s3: S3Service, url: str, log: Path) -> None:
    """Kill everything at a random moment, soon after the first rationales are in the bucket."""
    with log.open("wb") as file:
        process = subprocess.Popen(command(url, *ARGUMENTS), stdout=file, stderr=file)
    while not any(name.startswith("rationales/") for name in s3.keys(url)):
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    time.sleep(random.uniform(0, LONGEST_PAUSE_S))
    kill_tree(process.pid)
    process.wait()


@pytest.mark.timeout(600)
def test_killed_run_goes_on_through_503s_and_has_every_row_once(
    s3: S3Service, calm: CalmCorpus, tmp_path: Path
) -> None:
    url = s3.new_corpus()
    run_until_killed(s3, url, tmp_path / "log")
    numbers = itertools.count()
    s3.refuse = lambda method, path: method == "PUT" and next(numbers) % 3 == 0
    done = litecot(url, *ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert next(numbers) > 10
    s3.behave()
    check_rows(url)
    expected, found = rows(calm.folder), rows(url)
    assert [table for table in found if found[table] != expected[table]] == []
    assert found["examples"]
    assert unneeded(s3.keys(url)) == []
    corpus = Corpus(url)
    live = {name for files in corpus.parts().values() for name in files}
    assert {f"{url}/{name}" for name in s3.keys(url) if "/part-" in name} >= live
    check_commands(url)


def check_rows(url: str) -> None:
    corpus = Corpus(url)
    assert corpus.faults() == []
    database = connect(corpus.parts(), through=corpus.store.files)
    for table, row_type in TABLES.items():
        query = f"select count(*) - count(distinct {row_type.key}) from raw_{table}"
        assert table in PER_INVOCATION or database.run(query).rows == [(0,)], table
    counts = {row["stage"]: row["num_problems"] for row in database.run("from funnel").records()}
    assert counts["problems"] == counts["with_candidates"] == counts["scored"] == NUM_PROBLEMS
    assert {name: database.run_file("checks", name).rows for name in names("checks")} == {
        name: [] for name in names("checks")
    }
    # Only what was in flight when it was killed may be asked again.
    issued, repeated = database.run(
        "select sum(num_requests), sum(num_repeated) from raw_invocations"
    ).rows[0]
    assert repeated <= NUM_PROBLEMS < issued


def check_commands(url: str) -> None:
    found = litecot(url, "sql", "from stg_problems limit 1", "--format", "json")
    assert found.returncode == 0, found.stderr
    (problem,) = json.loads(found.stdout)
    shown = litecot(url, "show", problem["problem_id"])
    assert problem["question"].split()[0] in shown.stdout, shown.stderr
    assert url in litecot(url, "status").stdout
    refused = litecot(url, "sql", f"from read_text('{url}/_manifest.json')")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
