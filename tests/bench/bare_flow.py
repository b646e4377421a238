"""The least a Prefect flow can do: one task that asks a server once. `bare_flow BASE_URL`."""

from __future__ import annotations

import json
import sys
import urllib.request

from prefect import flow, task


@task
def ask(base_url: str) -> int:
    """Status of one request."""
    body = {"model": "served", "messages": [{"role": "user", "content": "One and one?"}]}
    request = urllib.request.Request(
        f"{base_url}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return int(reply.status)


@flow
def bare(base_url: str) -> int:
    """One task."""
    return ask(base_url)


if __name__ == "__main__":
    bare(sys.argv[1])
