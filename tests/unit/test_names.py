"""The package `litecot` beside a user's own tasks.py, sql/ and flows/: both keep their names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ORDERS = {
    "litecot first": "import litecot\nimport tasks, sql.mine",
    "theirs first": "import tasks, sql.mine\nimport litecot",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text("print('ran')\nmine = 5\n")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "mine.py").write_text("x = 7\n")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("raise RuntimeError('flows ran')\n")
    return tmp_path


def run(folder: Path, code: str) -> str:
    (folder / "script.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_users_own_modules_keep_their_names(folder: Path, order: str) -> None:
    code = f"""
{order}
from tasks.stage import Stage
from sql.database import connect
from infra.runs.retries import RetryingChat
assert litecot.Stage is Stage
print(tasks.mine, sql.mine.x)
import tasks.compress
print(tasks.mine)
"""
    assert run(folder, code).split() == ["ran", "5", "7", "5"]


def test_importing_litecot_runs_nothing_of_the_users(folder: Path) -> None:
    assert run(folder, "import litecot, sys\nprint('prefect' in sys.modules)") == "False\n"


def test_what_enters_a_worker_loads_none_of_what_plug_ins_import(tmp_path: Path) -> None:
    code = """
import sys
from litecot._names import enter_worker
enter_worker()
print('pydantic' in sys.modules, 'tasks.stage' in sys.modules)
from litecot import *
print(Stage.__module__, open.__module__)
import litecot
try:
    litecot.nothing
except AttributeError as error:
    print(error)
"""
    assert run(tmp_path, code).splitlines() == [
        "False False", "tasks.stage io", "module 'litecot' has no attribute 'nothing'",
    ]  # fmt: skip


def test_an_attribute_they_do_not_have_is_an_attribute_error(folder: Path) -> None:
    code = """
import litecot, tasks
try:
    tasks.nothing
except AttributeError as error:
    print(error)
"""
    assert run(folder, code) == "ran\nmodule 'tasks' has no attribute 'nothing'\n"


def test_where_nothing_of_theirs_is_in_the_way_ours_are_found(tmp_path: Path) -> None:
    code = "import litecot, tasks.ports, sql\nprint(tasks.ports.Ports is litecot.Ports)"
    assert run(tmp_path, code) == "True\n"


def test_everything_documented_is_there_and_light() -> None:
    code = """
import sys, litecot
heavy = {"prefect", "ray", "torch", "transformers", "vllm", "pyarrow", "duckdb"}
print([n for n in litecot.__all__ if not hasattr(litecot, n)], sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[] []\n", done.stderr
