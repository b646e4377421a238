"""`litecot run` on three Ray nodes, two replicas of each role, one node lost on the way; then the
engines hold every slot, and training needs two of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from infra.hosting import quiet_ray
from infra.storage import Corpus
from sql.database import connect
from tests.integration.crash import num_issued

pytestmark = pytest.mark.usefixtures("prefect_server")

NODE = {"num_cpus": 2, "object_store_memory": 80 * 1024**2, "include_dashboard": False}
LIMIT_S = 300
NUM_PROBLEMS, NUM_CANDIDATES = 24, 4
ORDER = [
    "run", "nano", "--limit", str(NUM_PROBLEMS), "--set", "shard_size=8",
    "--set", 'stages=["generate", "score", "select", "mix", "train"]',
    "--set", "score.kinds=['long']", "--set", "train.max_steps=3",
    "--set", "models.teacher.replicas=2", "--set", "models.student.replicas=2",
    "--set", "models.teacher.max_batch_size=8",  # slow enough to lose a node on the way
]  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    quiet_ray()
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    for _ in range(2):
        cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


def test_a_run_says_its_plan_outlives_a_node_and_its_engines_make_room_for_training(
    cluster: Cluster, tmp_path: Path
) -> None:
    corpus, log = tmp_path / "corpus", tmp_path / "log"
    environment = {
        **os.environ, "RAY_ADDRESS": cluster.address, "LITECOT_HOME": str(tmp_path / "home"),
        "LITECOT_TRAIN_WAIT_S": "30",
    }  # fmt: skip
    command = [sys.executable, "-m", "flows.cli.main", *ORDER, "--corpus", str(corpus)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + LIMIT_S
            while num_issued(corpus) < NUM_PROBLEMS // 2 and time.monotonic() < deadline:
                assert process.poll() is None, log.read_text()
                time.sleep(0.2)
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            assert process.wait(timeout=LIMIT_S) == 0, log.read_text()
        finally:
            process.kill()
    said = log.read_text()
    assert "teacher nano:teacher: 2 replicas" in said
    assert "student nano:student: 2 replicas" in said
    assert "all models stay loaded" in said
    database = connect(Corpus(corpus).parts())
    found = database.run(
        "select count(*), count(distinct rationale_id), count(distinct problem_id),"
        " count(*) filter (verdict = 'correct') from stg_rationales"
    ).rows[0]
    rationales = NUM_PROBLEMS * NUM_CANDIDATES
    assert found[:3] == (rationales, rationales, NUM_PROBLEMS)
    assert database.run("select count(*) from stg_scores").rows[0][0] == found[3]
    assert database.run("select count(*) from stg_rejections").rows == [(0,)]
    assert database.run("select world_size, num_steps from stg_models").rows == [(2, 3)]
