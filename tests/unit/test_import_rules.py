"""Imports run one way: import-linter's contracts in pyproject.toml hold, and would say if not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("flows", "infra", "sql", "tasks")
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"
# What a module that must not imports -> the contracts it breaks. The modules are as good as any.
FORBIDDEN = {
    "tasks/generate.py": (
        "infra.settings",
        "litecot, flows, infra, sql, tasks: imports run one way",
    ),
    "sql/lineage.py": ("tasks.ports", "sql knows of tasks the schemas and errors only"),
    "tasks/errors.py": ("tasks.registry", "no circles anywhere"),
    "infra/settings.py": ("prefect", "prefect is imported in flows only"),
    "infra/hosting/pool.py": (
        "ray",
        "ray is imported in ray_* of infra.hosting and infra.training only",
    ),
    "flows/report.py": (
        "duckdb",
        "duckdb is imported in sql.database, sql.untrusted and sql.export only",
    ),
    "flows/progress/text.py": ("flows.session", "layers of flows"),
    "infra/training/config.py": ("infra.runs.plan", "layers of infra"),
    "infra/engines/vllm/log.py": ("infra.engines.endpoint", "engines know nothing of one another"),
    "tasks/select.py": ("tasks.mix", "layers of tasks: steps know of one another what is shared"),
}


def broken_contracts(folder: Path) -> tuple[int, list[str], str]:
    """Exit code, names of what is broken, and all that was said."""
    done = subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    return done.returncode, re.findall(r"^(.*) BROKEN\b", done.stdout, re.MULTILINE), said


def test_the_contracts_are_kept() -> None:
    code, broken, said = broken_contracts(ROOT)
    assert (code, broken) == (0, []), said


def test_a_broken_rule_fails_and_is_named(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder,
            tmp_path / folder,
            ignore=lambda at, names: {n for n in names if "." in n and not n.endswith(".py")},
        )
    for module, (imported, _) in FORBIDDEN.items():
        path = tmp_path / module
        path.write_text(f"{path.read_text(encoding='utf-8')}\n\nimport {imported}\n")
    code, broken, said = broken_contracts(tmp_path)
    assert code == 1, said
    for module, (imported, contract) in FORBIDDEN.items():
        assert any(name.startswith(contract) for name in broken), (module, imported, said)
