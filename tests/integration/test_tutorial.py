"""docs/tutorial.md as a reader follows it: every command, in its order, in an empty HOME."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
WITHOUT_CURL = """
curl() {{ {python} -c 'import sys, time, urllib.request
for _ in range(60):
    try: print(urllib.request.urlopen(sys.argv[-1]).read().decode()); break
    except OSError: time.sleep(1)' "$@"; }}
"""


def blocks() -> list[str]:
    """What stands in the page's fences of shell."""
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(900)
def test_the_tutorial_is_done_as_it_stands(tmp_path: Path) -> None:
    work, home = tmp_path / "clone", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    (work / "docs").symlink_to(ROOT / "docs")
    told = blocks()
    assert len(told) >= 10
    python = Path(sys.executable)
    head = "" if shutil.which("curl") else WITHOUT_CURL.format(python=python)
    script = f"set -e\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n{head}" + "\n".join(
        f"echo '=== {number}'\n{block}" for number, block in enumerate(told)
    )
    script = script.replace("8123", str(free_port()))
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=work, capture_output=True, text=True, timeout=880, check=False,
        env={**os.environ, "HOME": str(home), "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    said = dict(enumerate(re.split(r"=== \d+\n", done.stdout)[1:]))
    assert ": correct" in said[1]
    assert "question=problem (guessed); answer=target (guessed)" in said[2]
    assert "answers within" in said[3]
    assert "held-out problems" in said[4]
    assert "at rest: nobody writes it" in said[5]
    assert "trained student" in done.stdout
    for published in ("snapshot/README.md", "student/README.md", "student/model.safetensors"):
        assert (work / published).is_file(), published
