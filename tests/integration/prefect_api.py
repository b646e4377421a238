"""What a Prefect server says of a corpus' runs, as its UI asks it."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def asked(api: str, path: str, **body: Any) -> list[Record]:
    """Of the server's own API: `path` is flow_runs, task_runs or artifacts."""
    request = urllib.request.Request(
        f"{api}/{path}/filter", data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as reply:
        found: list[Record] = json.load(reply)
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
