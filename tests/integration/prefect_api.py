"""What a Prefect server says of a corpus' runs, as its UI asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import urllib3

Record = dict[str, Any]
# As Prefect's own client does: its server says 503 while SQLite is locked.
AGAIN = urllib3.Retry(
    5, status_forcelist=[503], allowed_methods=None, backoff_factor=1, raise_on_status=False
)


def post(api: str, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """A request as the UI's buttons send it; what it answers."""
    told = {"Connection": "close", **(headers or {})}  # a server that is to end waits for nobody
    reply = urllib3.request(
        "POST", f"{api}/{path}", json=body, headers=told, retries=AGAIN, timeout=60
    )
    assert reply.status < 300, (path, reply.status, reply.data)
    return reply.json()


def asked(api: str, path: str, **body: Any) -> list[Record]:
    """Of the server's own API: `path` is flow_runs, task_runs or artifacts."""
    found: list[Record] = post(api, f"{path}/filter", **body)
    return found


def runs_of(api: str, corpus: Path) -> list[list[Record]]:
    """The flow runs of each run of a corpus, the outermost first; the runs by their start."""
    outermost = [
        run
        for run in asked(
            api, "flow_runs", flow_runs={"parent_task_run_id": {"is_null_": True}},
            sort="START_TIME_ASC",
        )
        if run["parameters"].get("order", {}).get("corpus") == str(corpus)
    ]  # fmt: skip
    return [[run, *_inside(api, run)] for run in outermost]


def _inside(api: str, run: Record) -> list[Record]:
    return asked(api, "flow_runs", flow_runs={"parent_flow_run_id": {"any_": [run["id"]]}})


def tasks_of(api: str, flow_runs: list[Record]) -> list[Record]:
    """The task runs of these flow runs."""
    return asked(
        api, "task_runs", task_runs={"flow_run_id": {"any_": [run["id"] for run in flow_runs]}}
    )
