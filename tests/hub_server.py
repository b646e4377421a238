"""A dataset hub on loopback: the calls that `huggingface_hub` makes to upload and to read a card.

It keeps the files of every commit, and refuses who has no token.

A sample:
    with serving_hub(token="hf_good") as hub:
        ... HF_ENDPOINT=hub.url HF_TOKEN=hf_good litecot publish DIR --push me/chains ...
        hub.files["me/chains"]["README.md"]
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml


@dataclass
class Hub:
    """`cards`: data set -> the metadata its card states."""

    token: str
    url: str = ""
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)


def _answer(hub: Hub, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    parts = path.partition("?")[0].strip("/").split("/")
    if parts == ["api", "repos", "create"]:
        asked = json.loads(body)
        name = (
            f"{asked['organization']}/{asked['name']}" if "organization" in asked else asked["name"]
        )
        hub.private[name] = asked.get("visibility") == "private" or bool(asked.get("private"))
        return 200, {"url": f"{hub.url}/datasets/{name}"}
    if parts == ["api", "validate-yaml"]:
        _, front, _ = json.loads(body)["content"].split("---\n", 2)
        return 200, {"errors": [], "warnings": [], "read": yaml.safe_load(front)}
    name = "/".join(parts[2:4])
    if method == "GET" and name in hub.cards:
        return 200, {"id": name, "cardData": hub.cards[name], "siblings": [], "tags": []}
    if method == "POST" and parts[4:5] == ["preupload"]:
        files = [
            {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
            for file in json.loads(body)["files"]
        ]
        return 200, {"files": files}
    if method == "POST" and parts[4:5] == ["commit"]:
        return 200, _commit(hub, name, [json.loads(line) for line in body.splitlines()])
    return 404, {"error": f"{method} {path} is not here"}


def _commit(hub: Hub, name: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    files = hub.files.setdefault(name, {})
    for line in lines:
        if line["key"] == "file":
            files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
    sha = f"{len(files):040d}"
    return {
        "success": True, "commitOid": sha, "hookOutput": "",
        "commitUrl": f"{hub.url}/datasets/{name}/commit/{sha}",
    }  # fmt: skip


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "POST" and self.headers["Authorization"] != f"Bearer {hub.token}":
                status, answer = 401, {"error": "Invalid username or password."}
            else:
                status, answer = _answer(hub, self.command, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _reply  # noqa: N815

    return Handler


@contextmanager
def serving_hub(*, token: str) -> Iterator[Hub]:
    """The hub, until the block ends."""
    hub = Hub(token=token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
