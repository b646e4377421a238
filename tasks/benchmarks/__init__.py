"""Benchmarks: sets of questions under a name, each a TOML file here, or one of the user's own.

Role: a name ("aime24") or a file ("./mine.toml") wherever problems can be named. Invariant: what a
file says is checked when it is read; a wrong key is one line that names file and key.

A sample: load_benchmark("aime24").data == "HuggingFaceH4/aime_2024:train"
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import UsageError, near_names

FOLDER = Path(__file__).parent
SUFFIX = ".toml"
Columns = str | tuple[str, ...]


class BenchmarkError(UsageError):
    """A benchmark's file cannot be used: one line with file, key and remedy."""


class Benchmark(BaseModel):
    """Where a benchmark's questions are and how its rows are read. Columns are dotted paths.

    What is left out is guessed as for any other input (docs/recipes.md, Inputs).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="in rows, tables and --on; by default the file's name")
    title: str = Field(default="", description="as people know it")
    data: str = Field(
        description="hub id org/name[@revision][:config][:split], or a file beside this one"
    )
    licence: str = Field(default="", description="of the data, by its source")
    source: str = Field(default="", description="where it was published")
    answer_type: str | None = Field(default=None, description="math | integer | choice | ...")
    question: Columns | None = Field(default=None, description="column; several are joined")
    options: Columns = Field(default=(), description="column of all options, or one each")
    answer: Columns | None = Field(default=None, description="column of the gold answer")
    subject: Columns | None = Field(default=None, description="column of topic or level")
    family: Columns | None = Field(
        default=None,
        description="column that questions of one family share: not independent of one another",
    )


def shipped_benchmarks() -> dict[str, Path]:
    """Name -> file of the benchmarks that come with the package."""
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def is_benchmark(name: str) -> bool:
    """Whether `name` names a benchmark: a shipped one, or a TOML file, there or not."""
    return name in shipped_benchmarks() or is_own_benchmark(name)


def is_own_benchmark(name: str) -> bool:
    """Whether it names a file of the user's, there or not."""
    return Path(name).suffix == SUFFIX


def load_benchmark(name: str) -> Benchmark:
    """A shipped benchmark by its name, or one of the user's own by its file.

    Raises BenchmarkError.
    """
    path = shipped_benchmarks().get(name, Path(name).expanduser())
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise BenchmarkError(f"no benchmark {name}{_hint(name)}: {error.strerror}") from None


def unknown_benchmark(name: str) -> BenchmarkError:
    """What to say of a name that is no benchmark, file or hub id."""
    return BenchmarkError(f"no benchmark {name!r}{_hint(name)}; or give a file, or a hub id")


def _hint(name: str) -> str:
    known = shipped_benchmarks()
    near = near_names(name, known)
    return f" (did you mean {near}?)" if near else f"; there are: {', '.join(known)}"


@cache
def _read(path: Path, _mtime_ns: int) -> Benchmark:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        found = Benchmark.model_validate({"name": path.stem, **told})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"benchmark {path}: {error}") from None
    except ValidationError as error:
        raise BenchmarkError(f"benchmark {path}: {_first(error)}") from None
    beside = path.parent / found.data
    is_here = beside.exists() or found.data.startswith(("./", "../"))
    return found.model_copy(update={"data": str(beside)}) if is_here else found


def _first(error: ValidationError) -> str:
    item = error.errors()[0]
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"unknown key {key}; known are {', '.join(sorted(Benchmark.model_fields))}"
    return f"{key}: {item['msg'].removeprefix('Value error, ')}"
