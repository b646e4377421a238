"""`kill -9` at random moments: nothing finished is lost, nothing is stored twice.

The child resumes by anti-join on input_id, as a stage does, folds and compacts all the time, and
prints each number after `finish` returned: what was printed must be there whatever came next.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.storage import Corpus, CorpusWriter
from sql.database import connect

NUM_RECORDS = 300
MAX_KILLS = 9
CHILD = """if True:
    import sys
    from infra.storage import CorpusWriter
    from sql.database import connect
    from tasks.schemas import Problem, Rejection

    with CorpusWriter(sys.argv[1], fold_records=9, fold_seconds=0.01, grace_s=0) as writer:
        done = {row[0] for row in connect(writer.parts()).run(
            "select input_id from raw_problems").rows}
        print("open", flush=True)
        for number in range(int(sys.argv[2])):
            if str(number) in done:
                continue
            key = f"request-{number}"
            if writer.lookup(key) is None:
                writer.issued(key)
                writer.completed(key, "reply")
            rows = [Problem(source="s", question=f"q{number}", answer="1", answer_type="math")]
            rows.append(Rejection(record_id=str(number), stage="s", reason="r"))
            writer.finish(str(number), rows, stage_fingerprint="f", run_id="r", requests_done=[key])
            print(number, flush=True)
            if number % 31 == 0:
                writer.compact()
"""


def start(corpus: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(corpus), str(NUM_RECORDS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_until_killed(corpus: Path, *, after_s: float, once_open: bool) -> tuple[list[int], bool]:
    """Numbers the child finished, and whether it came to its end before the kill."""
    with start(corpus) as child:
        assert child.stdout is not None
        if once_open:
            assert child.stdout.readline() == "open\n"
        time.sleep(after_s)  # the moment is the point of the test
        child.kill()
        lines = child.stdout.read().split("\n")[:-1]  # the last line may be cut
    return [int(line) for line in lines if line != "open"], child.returncode == 0


@pytest.mark.timeout(300)
def test_killed_again_and_again(tmp_path: Path) -> None:
    moments = random.Random(1)
    corpus = tmp_path / "c"
    told: list[int] = []
    for kill in range(MAX_KILLS):
        # every third time while it starts: imports, then recovery of what the last kill left
        once_open = kill % 3 != 2
        after_s = moments.uniform(0.0, 0.2) if once_open else moments.uniform(0.2, 0.6)
        finished, ended = run_until_killed(corpus, after_s=after_s, once_open=once_open)
        told += finished
        if ended:
            break
    with start(corpus) as child:  # the rest in peace
        told += [int(line) for line in child.communicate()[0].split("\n")[1:-1]]
    assert child.returncode == 0
    assert len(told) == len(set(told))
    check(corpus)


def check(corpus: Path) -> None:
    database = connect(Corpus(corpus).parts())
    for table in ("problems", "rejections"):
        query = f"select count(*), count(distinct input_id) from raw_{table}"
        assert database.run(query).rows == [(NUM_RECORDS, NUM_RECORDS)]
    assert Corpus(corpus).faults() == []
    assert not list(corpus.rglob("*.tmp"))
    with CorpusWriter(corpus) as writer:
        issued, repeated = writer.counts()
        assert issued == NUM_RECORDS + repeated
        assert repeated <= MAX_KILLS  # at most the one request in flight at each kill
        live = {Path(file).name for files in writer.parts().values() for file in files}
    assert {file.name for file in corpus.glob("*/part-*")} == live
