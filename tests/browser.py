"""A real browser for tests: Chromium behind its driver, spoken to over WebDriver's plain HTTP.

Invariant: one process group of our own, ended by its own id; no network is asked.

    with browser() as page:
        page.show(path, width=390, is_dark=True)
        assert page.run("return document.title") == "..."
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
WHY_NOT = "no chromium and chromedriver on PATH: the page is not looked at in a browser here"
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--hide-scrollbars")  # fmt: skip


class Browser:
    """A session of the driver."""

    def __init__(self, base: str) -> None:
        options = {"args": [*ARGUMENTS], "binary": CHROMIUM}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        capabilities = {"capabilities": {"alwaysMatch": wanted}}
        made = _asked(f"{base}/session", capabilities)
        self._session = f"{base}/session/{made['sessionId']}"

    def show(self, path: Path, *, width: int, is_dark: bool = False) -> None:
        """Open a file as a window so wide shows it."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"features": [scheme]})
        _asked(f"{self._session}/url", {"url": path.absolute().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function of this body returns."""
        return _asked(f"{self._session}/execute/sync", {"script": script, "args": [*arguments]})

    def wait_for(self, script: str) -> Any:
        """What a function of this body gives to the last of its arguments, a function."""
        return _asked(f"{self._session}/execute/async", {"script": script, "args": []})

    def press_tab(self) -> None:
        """The key, on the page."""
        key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        for kind in ("keyDown", "keyUp"):
            self._devtools("Input.dispatchKeyEvent", {"type": kind, **key})

    def faults(self) -> list[str]:
        """What the console has said: script errors, refused requests."""
        entries = _asked(f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def picture(self, path: Path) -> None:
        """A PNG of the whole page."""
        shot = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shot["data"]))

    def _devtools(self, command: str, values: dict[str, Any]) -> Any:
        return _asked(f"{self._session}/goog/cdp/execute", {"cmd": command, "params": values})

    def close(self) -> None:
        _asked(self._session, None, method="DELETE")


@contextmanager
def browser() -> Iterator[Browser]:
    """A driver and a browser of their own."""
    assert DRIVER
    port = _free_port()
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port, driver)
        made = Browser(f"http://127.0.0.1:{port}")
        try:
            yield made
        finally:
            made.close()
    finally:
        driver.terminate()
        driver.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int, driver: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and driver.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("chromedriver did not start")


def _asked(url: str, values: dict[str, Any] | None, *, method: str = "POST") -> Any:
    content = None if values is None else json.dumps(values).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=content, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as reply:
            return json.loads(reply.read())["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(error.read().decode()[:2000]) from None
