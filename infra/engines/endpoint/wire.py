"""The JSON of a server's reply, however it was wrapped on its way.

Role: bytes in, plain values out. Invariants: a whole JSON value is found whatever stands around it
(a byte-order mark, blank lines and comments that kept the connection alive, another encoding, half
a character, an event stream nobody asked for); one that was cut off never passes for whole.

A sample: b'\\xef\\xbb\\xbf\\n\\n{"choices": []}' -> {"choices": []}
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from pydantic_core import from_json

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_PADDING = " \t\r\n\f\v\0\ufeff\u200b"
_EVENTS = re.compile(r"(?::|data:|event:|id:|retry:)")  # how lines of server-sent events begin
_JSON = json.JSONDecoder(strict=False)  # raw line breaks inside strings are read too
_JOINED = ("content", "reasoning_content", "reasoning", "refusal", "text")  # of a stream's deltas


def read_json(raw: bytes, *, charset: str | None = None) -> Any:
    """The value; `charset` as the reply's Content-Type names it. Raises ValueError."""
    try:
        return _unwrapped(from_json(raw))
    except ValueError:
        text = as_text(raw, charset=charset).strip(_PADDING)
    try:
        return _from_events(text) if _EVENTS.match(text) else _unwrapped(_first_value(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def as_text(raw: bytes, *, charset: str | None = None) -> str:
    """UTF-8 as JSON has to be, else what its first bytes or the server say; never fails."""
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace").lstrip("\ufeff")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode(charset or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return raw.decode("utf-8", "replace")


def whole(text: str) -> str:
    """`text` without half characters (lone surrogates), which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def _first_value(text: str) -> Any:
    value, _ = _JSON.raw_decode(text)
    return value


def _unwrapped(found: Any) -> Any:
    """Gemini puts an error into a list, some proxies the whole reply into a string."""
    if isinstance(found, list) and len(found) == 1:
        return found[0]
    if isinstance(found, str) and found.lstrip().startswith("{"):
        return _first_value(found.strip())
    return found


def _from_events(text: str) -> Any:
    """A completion out of the events of a stream; what else stands behind comments as it is."""
    lines = [line.strip() for line in text.splitlines()]
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    if not data:
        rest = [line for line in lines if line and not _EVENTS.match(line)]
        return _unwrapped(_first_value("\n".join(rest)))
    events = [_first_value(item) for item in data if item and item != "[DONE]"]
    told = [event for event in events if isinstance(event, dict)]
    for event in told:
        if event.get("error"):
            return event
    if len(told) == 1 and not _deltas(told[0]):
        return told[0]
    return _joined(told, is_ended="[DONE]" in data)


def _deltas(event: dict[str, Any]) -> list[dict[str, Any]]:
    choices = event.get("choices")
    listed = choices if isinstance(choices, list) else []
    return [c for c in listed if isinstance(c, dict) and isinstance(c.get("delta"), dict)]


def _joined(events: list[dict[str, Any]], *, is_ended: bool) -> dict[str, Any]:
    """Raises ValueError where the stream broke off."""
    choices: dict[Any, dict[str, Any]] = {}
    usage = None
    for event in events:
        usage = event.get("usage") or usage
        for delta in _deltas(event):
            index = delta.get("index") if isinstance(delta.get("index"), int) else 0
            choice = choices.setdefault(
                index, {"index": index, "message": {}, "finish_reason": None}
            )
            choice["finish_reason"] = delta.get("finish_reason") or choice["finish_reason"]
            if delta.get("error"):
                choice["error"] = delta["error"]
            for name in _JOINED:
                if isinstance(part := delta["delta"].get(name), str):
                    choice["message"][name] = choice["message"].get(name, "") + part
    if not is_ended and any(choice["finish_reason"] is None for choice in choices.values()):
        raise ValueError("the stream of events broke off")
    return {"choices": list(choices.values()), "usage": usage}
