"""A model's process gets what it needs of the environment, and no key."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.engines import EngineConfig
from infra.environment import HUB_TOKENS, KEEP, child_environment
from infra.hosting.ray_host import _options
from infra.training.config import TrainConfig
from infra.training.launch import driver_environment, rank_environment
from tests.planted_keys import KEYS, MARK, NEEDED

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_keys_stay_and_what_is_needed_comes_through() -> None:
    assert child_environment({**KEYS, **NEEDED}) == NEEDED


@given(st.text(), st.text())
def test_a_name_nobody_thought_of_stays(name: str, value: str) -> None:
    assert child_environment({f"MY_{name}": value}) == {}


@given(
    st.sampled_from(["HF_", "VLLM_", "NCCL_", "LITECOT_", "SLURM_", "CUDA_", "PYTHON", "XDG_"]),
    st.text(alphabet="ABC_", max_size=6),
    st.sampled_from(["KEY", "API_KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS"]),
    st.sampled_from(["", "_ID", "_1", "_FILE"]),
)
def test_a_listed_prefix_is_no_way_for_a_secret(
    prefix: str, middle: str, word: str, end: str
) -> None:
    name = f"{prefix}{middle}_{word}{end}"
    assert child_environment({name: "x"}) == {}
    assert child_environment({name.lower(): "x"}) == {}


def test_what_a_user_names_comes_through() -> None:
    given_ = {"MY_SERVER": "x", "B_KEY": "y", "C_KEY": "z", KEEP: "MY_SERVER, B_KEY,,"}
    assert child_environment(given_).keys() == {"MY_SERVER", "B_KEY", KEEP}
    assert child_environment(given_, keep=["C_KEY"]).keys() == given_.keys()


def test_rays_own_token_stays_with_its_workers() -> None:
    assert child_environment({"RAY_AUTH_TOKEN": "x"}) == {"RAY_AUTH_TOKEN": "x"}


TELL = """
import ctypes, json, os, subprocess, sys
from infra.environment import forget_the_rest
forget_the_rest(keep=["C_KEY"])
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
child = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"],
                       capture_output=True, text=True, check=True).stdout
print(json.dumps({
    "python": dict(os.environ), "first": open("/proc/self/environ", "rb").read().decode(),
    "c": str(libc.getenv(b"OPENAI_API_KEY")), "child": child,
}))
"""


def test_a_process_forgets_the_keys_it_began_with_where_the_system_shows_them_too() -> None:
    kept = {"C_KEY": "kept-by-name", **NEEDED}
    environment = {**os.environ, **KEYS, **kept, "PYTHONPATH": ROOT}
    done = subprocess.run(
        [sys.executable, "-c", TELL], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert MARK not in done.stdout
    told = json.loads(done.stdout)
    assert kept.items() <= told["python"].items()
    for place in ("first", "child"):
        assert all(value in told[place] for value in kept.values())


@pytest.mark.parametrize(("said", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_an_engines_threads_wait_without_spinning_unless_told_to(
    said: str | None, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY")
    if said:
        monkeypatch.setenv("OMP_WAIT_POLICY", said)
    told = _options(EngineConfig(model="nano:student", device="cpu"))["runtime_env"]["env_vars"]
    assert told["OMP_WAIT_POLICY"] == policy
    on_gpu = _options(EngineConfig(model="nano:student", device="cuda"))["runtime_env"]["env_vars"]
    assert "OMP_WAIT_POLICY" not in on_gpu  # its cores wait for the device, as they always did


@pytest.mark.parametrize(
    ("model", "names"), [("nano:student", ()), ("/models/mine", ()), ("org/gated", HUB_TOKENS)]
)
def test_only_what_may_be_gated_gets_the_hubs_token(
    model: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    config = EngineConfig(model=model, device="cpu")
    told = _options(config)["runtime_env"]["env_vars"]
    assert told[KEEP] == ",".join(names)
    assert MARK not in str(told)  # names only: Ray shows them
    driver = driver_environment(model)
    assert {name for name, value in driver.items() if MARK in value} == {*names}
    ranks = rank_environment(TrainConfig(device="cpu", dtype="float32"), model)
    assert ranks[KEEP] == ",".join(names)
    assert MARK not in str(ranks)
    monkeypatch.setenv(KEEP, "MY_SERVER")
    assert _options(config)["runtime_env"]["env_vars"][KEEP] == ",".join(["MY_SERVER", *names])
    assert "MY_SERVER" in driver_environment(model)
    assert rank_environment(TrainConfig(), model)[KEEP] == ",".join(["MY_SERVER", *names])
