"""infra/cluster: the files Kubernetes, Docker and Slurm read, checked by their own rules.

The RayCluster and RayJob keys are those of KubeRay's API reference for ray.io/v1 (v1.7); what they
hold of Kubernetes itself is validated against its published schemas. slurm.sh is run for real in
tests/integration/test_slurm.py.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from flows.cli.main import app
from flows.recipes.loading import load_recipe

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "infra" / "cluster"
BIN = Path(sys.executable).parent
KEYS = {
    "RayCluster": {
        "rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs", "suspend",
        "enableInTreeAutoscaling", "autoscalerOptions", "headServiceAnnotations",
        "gcsFaultToleranceOptions", "managedBy",
    },
    "group": {
        "rayStartParams", "template", "groupName", "replicas", "minReplicas", "maxReplicas",
        "numOfHosts", "scaleStrategy", "suspend", "serviceType", "headService", "enableIngress",
    },
    "RayJob": {
        "clusterSelector", "entrypoint", "entrypointResources", "entrypointNumCpus",
        "entrypointNumGpus", "submitterPodTemplate", "submitterConfig", "submissionMode",
        "runtimeEnvYAML", "rayClusterSpec", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
        "activeDeadlineSeconds", "backoffLimit", "jobId", "metadata", "suspend",
    },
}  # fmt: skip
WITH_OWN_CLUSTER_ONLY = {"backoffLimit", "suspend", "shutdownAfterJobFinishes"}


def objects(kind: str) -> list[dict[str, Any]]:
    return [
        made
        for file in sorted(CLUSTER.glob("*.yaml"))
        for made in yaml.safe_load_all(file.read_text())
        if made["kind"] == kind
    ]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    (made,) = objects("RayCluster")
    return made


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    (made,) = objects("RayJob")
    return made


def groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]


def pods(cluster: dict[str, Any], job: dict[str, Any]) -> list[dict[str, Any]]:
    """The specs of all pods the files describe."""
    templates = [group["template"] for group in groups(cluster)]
    return [template["spec"] for template in [*templates, job["spec"]["submitterPodTemplate"]]]


def check(made: dict[str, Any]) -> None:
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)


def test_pods_and_volumes_follow_kubernetes_schemas(
    cluster: dict[str, Any], job: dict[str, Any]
) -> None:
    for spec in pods(cluster, job):
        check({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    claims = objects("PersistentVolumeClaim")
    assert claims
    for claim in claims:
        check(claim)


def test_a_misspelt_pod_would_be_found(cluster: dict[str, Any]) -> None:
    spec = {**groups(cluster)[0]["template"]["spec"], "volume": []}
    with pytest.raises(kubernetes_validate.ValidationError):
        check({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})


def test_keys_are_kuberays(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    for made in (cluster, job):
        assert made["apiVersion"] == "ray.io/v1"
        assert set(made) == {"apiVersion", "kind", "metadata", "spec"}
        assert set(made["spec"]) <= KEYS[made["kind"]]
    for group in groups(cluster):
        assert {"rayStartParams", "template"} <= set(group) <= KEYS["group"]
        params = group["rayStartParams"]
        assert all(isinstance(value, str) for value in params.values()), "KubeRay wants strings"


def test_the_job_finds_the_cluster(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    spec = job["spec"]
    assert spec["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    assert set(spec).isdisjoint(WITH_OWN_CLUSTER_ONLY)
    (worker,) = cluster["spec"]["workerGroupSpecs"]
    offered = yaml.safe_load(yaml.safe_load(worker["rayStartParams"]["resources"]))
    assert set(yaml.safe_load(spec["entrypointResources"])) <= set(offered)


def test_versions_and_images_agree(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned is not None
    assert cluster["spec"]["rayVersion"] == pinned[1]
    images = {c["image"] for spec in pods(cluster, job) for c in spec["containers"]}
    assert len(images) == 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert images.pop().endswith(f"/litecot:{project['version']}")


def test_volumes_and_gpus_are_what_ray_is_told(cluster: dict[str, Any]) -> None:
    claims = {claim["metadata"]["name"] for claim in objects("PersistentVolumeClaim")}
    for group in groups(cluster):
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        size = container["resources"]
        assert size["requests"] == size["limits"]
        assert group["rayStartParams"]["num-gpus"] == size["limits"].get("nvidia.com/gpu", "0")
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
        asked = {v["persistentVolumeClaim"]["claimName"] for n, v in volumes.items() if n != "shm"}
        assert asked <= claims
        assert {"readinessProbe", "livenessProbe"} <= set(container)


def test_the_jobs_command_is_ours(job: dict[str, Any]) -> None:
    program, name, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert (program, name) == ("litecot", "run")
    command = get_command(app).commands["run"]  # type: ignore[attr-defined]
    given = command.make_context("run", arguments).params
    recipe = load_recipe(given["recipe"], overrides=given["overrides"] or ())
    assert recipe.models.teacher is not None
    assert recipe.models.teacher.engine == "vllm"


# --- Docker


def test_dockerfile_is_clean() -> None:
    done = subprocess.run([BIN / "hadolint", "--no-color", CLUSTER / "Dockerfile"],
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_dockerfile_copies_what_is_there_and_names_extras_that_exist() -> None:
    text = (CLUSTER / "Dockerfile").read_text()
    copied = {
        source for line in re.findall(r"^COPY (.+)$", text, re.M) for source in line.split()[:-1]
    }
    assert {source for source in copied if not (ROOT / source).exists()} == set()
    ignored = (CLUSTER / "Dockerfile.dockerignore").read_text().splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"'\.\[(\w[\w,-]*)\]'", text)
    assert extras
    assert {e for some in extras for e in some.split(",")} <= set(project["optional-dependencies"])


# --- Slurm


def test_slurm_script_is_clean() -> None:
    done = subprocess.run([BIN / "shellcheck", CLUSTER / "slurm.sh"],
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
