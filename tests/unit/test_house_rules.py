"""The house's rules that no linter holds: the light stays light, queries are files, nothing grows
too long. That imports run one way is import-linter's to say (tests/unit/test_import_rules.py).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("flows", "infra", "sql", "tasks")
# Queries that stand in Python (None: all of a module's), and why.
QUERIES_IN_PYTHON: dict[str, tuple[set[str] | None, str]] = {
    "sql/database.py": ({"from x"}, "all of a relation is no query worth a file"),
    "flows/api/litecot/_corpus.py": ({"from x"}, "the same, in a notebook"),
    "sql/views.py": (
        {
            "select x where false", "select * from read_parquet([x])",
            "select 'x' as table_name, x as id, x from raw_x",
        },
        "views over the schemas and the parts' paths are made when connecting",
    ),
    "sql/digests.py": (
        {
            "select ('0x' || x)::ubigint as id, hash(x) as content, hash(x) as measured from raw_x",
            "select * from raw_x where x in"
            " (select unnest(from_json(getvariable('ids')::json, '[\"varchar\"]')))",
        },
        "the same of every table, with the columns that its schema has",
    ),
    "sql/untrusted.py": (
        {"select current_setting('lock_configuration')"}, "asks DuckDB for a setting of its own",
    ),
    "flows/server/database.py": (
        {"select count(*) from flow_run", "select version_num from alembic_version"},
        "asks Prefect's SQLite, no corpus, whether it is new and whole",
    ),
    "infra/storage/journal.py": (
        None, "the journal is SQLite, no corpus: its queries stand beside the tables they are of",
    ),
}  # fmt: skip
SPLICED = "\0"  # into an f-string, whatever it is
HEAVY = ("prefect", "ray", "torch", "transformers", "vllm", "deepspeed", "pyarrow", "duckdb")
TEXT_FILES = {".py", ".toml", ".md", ".sql", ".jinja", ".yaml", ".yml", ".txt", ".jsonl", ""}
MAX_FUNCTION, MAX_MODULE = 60, 500
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(code: str) -> set[str]:
    printed = python(f"{code}\nimport sys\nprint(*(n for n in {HEAVY} if n in sys.modules))")
    return set(printed.splitlines()[-1].split()) if printed.strip() else set()


def test_importing_all_of_tasks_loads_nothing_heavy() -> None:
    names = [name_of(path)[:-3].replace("/", ".") for path in MODULES]
    tasks = [name.removesuffix(".__init__") for name in names if name.startswith("tasks.")]
    assert loaded_after("import " + ", ".join(tasks)) == set()


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
sys.argv = ["litecot", "--help"]
from flows.cli.main import main
try:
    main()
except SystemExit as left:
    assert not left.code
"""
    assert loaded_after(code) == set()


def test_planning_a_run_starts_neither_ray_nor_torch_nor_prefect() -> None:
    loaded = loaded_after("import flows.recipes.plan, flows.session, infra.runs.runner")
    assert loaded & {"prefect", "ray", "torch", "transformers", "vllm", "deepspeed"} == set()


def test_modules_and_functions_stay_readable() -> None:
    lines = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {name: number for name, number in lines.items() if number > MAX_MODULE} == {}
    long = [
        f"{name_of(path)}:{node.name}: {length}"
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
        and not _is_command(node)
    ]
    assert long == []


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A command of the CLI: its length is the declaration of its options."""
    return any(isinstance(d, ast.Call) and "command" in ast.dump(d) for d in node.decorator_list)


def test_every_module_says_what_it_is() -> None:
    silent = [name_of(path) for path in MODULES if not ast.get_docstring(tree_of(path))]
    assert silent == []


def queries(tree: ast.Module) -> Iterator[str]:
    """String literals, docstrings aside, that are a query; what is spliced in reads `x`."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
        for part in node.values
    }  # fmt: skip
    for node in ast.walk(tree):
        if id(node) not in documented | parts and is_query(text := literal(node)):
            yield " ".join(text.replace(SPLICED, "x").split())


def literal(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) or SPLICED for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_query(text: str) -> bool:
    """It begins as a query does, and DuckDB can parse it: "with <compress>" is none."""
    code = re.sub(r"--[^\n]*", "", text).strip().lower()
    if not re.match(rf"(select|with)\s|from\s+(raw_|stg_|{SPLICED})", code):
        return False
    return any(parses(text.replace(SPLICED, meant)) for meant in ("x", "select 1"))


def parses(text: str) -> bool:
    try:
        return bool(duckdb.extract_statements(text))
    except duckdb.Error:
        return False


def test_queries_are_files() -> None:
    for path in MODULES:
        allowed, _ = QUERIES_IN_PYTHON.get(name_of(path), (set(), ""))
        found = set(queries(tree_of(path)))
        assert found == (found if allowed is None else allowed), name_of(path)


def test_a_query_in_a_string_is_found() -> None:
    code = """
def f(name, log):
    "select 1"
    log("with the lowest RD", "select one of them", f"from {name}")
    return run("select a " "from t", f"with b as ({name}) select * from b", 'from raw_runs')
"""
    assert sorted(queries(ast.parse(code))) == [
        "from raw_runs", "from x", "select a from t", "with b as (x) select * from b"
    ]  # fmt: skip


def test_no_file_names_a_place_on_this_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    places = [f"/{'work'}/", f"/{'root'}/", f"/{'home'}/"]
    found = [
        f"{name}: {place}"
        for name in listed.stdout.splitlines()
        if (path := ROOT / name).suffix in TEXT_FILES and path.is_file()
        for place in places
        if place in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []
