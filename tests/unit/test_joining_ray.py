"""A Ray cluster that cannot be joined is one line that says why, at once where nothing listens."""

from __future__ import annotations

import socket

import pytest

from infra.hosting.ray_cluster import ClusterError, start_ray, why_not_joined

AUTH = "ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: missing or incorrect"


def test_where_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # taken, and not listening
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterError) as refused:
            start_ray(address=where)
    assert str(refused.value) == (
        f"no Ray cluster answers at {where} (Connection refused): start one (`ray start --head`), "
        "or unset RAY_ADDRESS to use this machine alone"
    )


@pytest.mark.parametrize(
    ("behind", "mode", "words"),
    [
        (AUTH, "", "wants a token: set RAY_AUTH_MODE=token; "),
        (AUTH, "disabled", "wants a token: set RAY_AUTH_MODE=token; "),
        (AUTH, "token", "refuses the token: put that of its head node "),
        ("deadline exceeded", "", "cannot be joined: Failed to connect"),
    ],
)
def test_why(behind: str, mode: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    error = ConnectionError("Failed to connect to Ray cluster at h:6379\nand more")
    error.__cause__ = RuntimeError(f"Failed to connect to GCS. Last connection error: {behind}")
    said = why_not_joined("h:6379", error)
    assert said.startswith(f"the Ray cluster at h:6379 {words}")
    assert "\n" not in said
