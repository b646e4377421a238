"""What a server's refusal means: wait, reject this record, or stop the stage.

Invariants: what a server says is untrusted: it is cut to one short printable line, and the key
never stays in it; nothing here loads an HTTP client.

A sample: HTTP 429 with `Retry-After: 20` -> TransientError(retry_after_s=20.0)
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from pydantic_core import from_json

from tasks.errors import LitecotError
from tasks.ports import PermanentError, TransientError

MAX_RETRY_AFTER_S = 300.0
MAX_MESSAGE = 300  # characters of a server's own words
TRANSIENT = {408, 409, 425, 429}
_NO_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|prompt is too long|too many (input )?tokens|max_model_len"
    r"|reduce the length|input is too long",
    re.IGNORECASE,
)
_MODERATED = re.compile(r"moderat|flagged|content.?(filter|policy)", re.IGNORECASE)
_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
_GO_DURATION = re.compile(
    r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:([\d.]{1,12})s)?(?:([\d.]{1,12})ms)?", re.ASCII
)
_UNPRINTABLE = re.compile(  # terminal escapes, control characters, what turns text around
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


class EndpointError(LitecotError):
    """The endpoint cannot be used as it is configured: nothing is wrong with the records, so the
    stage stops and none of them is rejected. One line, with the remedy."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key and where it came from. Its value is in no repr."""

    value: str = field(repr=False)
    source: str  # "the environment variable OPENAI_API_KEY"

    def hide(self, text: str) -> str:
        """`text` without the key."""
        return text.replace(self.value, "***") if self.value else text


@dataclass(frozen=True)
class Refusal:
    """A reply that is no completion; `message` and `code` as the server gave them, tidied."""

    status: int
    message: str
    code: str
    retry_after_s: float | None

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], body: bytes, *, key: Key) -> Refusal:
        """From an HTTP reply."""
        message, code = _message_and_code(body)
        return cls(status, one_line(key.hide(message)), code, retry_after_s(headers))

    def error(self, url: str, key: Key) -> Exception:
        """The error to raise: Transient-, Permanent- or EndpointError."""
        said = f"HTTP {self.status}: {self.message}" if self.message else f"HTTP {self.status}"
        if stop := self._why_to_stop(url, key, said):
            return EndpointError(stop)
        if self.status in TRANSIENT or self.status >= 500:
            return TransientError(f"{url}: {said}", retry_after_s=self.retry_after_s)
        is_too_long = self.status == 413 or _TOO_LONG.search(f"{self.code} {self.message}")
        return PermanentError("prompt_too_long" if is_too_long else "refused", said)

    def _why_to_stop(self, url: str, key: Key, said: str) -> str | None:
        if self.status == 401 or (self.status == 403 and not _MODERATED.search(self.message)):
            if not key.value:
                return f"{url} wants a key and none was sent ({said}): set {key.source}"
            return f"{url} refuses the key from {key.source} ({said})"
        if self.status == 402 or self.code in _NO_MONEY:
            return f"the account at {url} cannot pay ({said})"
        if self.status in (404, 405) or self.code == "model_not_found":
            return (
                f"{url} has no such model or page ({said}): check model and endpoint.base_url in "
                "the recipe"
            )
        if 300 <= self.status < 400:
            return f"{url} redirects ({said}): set endpoint.base_url to where it leads"
        return None


def one_line(text: str) -> str:
    """One short printable line of anybody's text."""
    line = " ".join(_UNPRINTABLE.sub(" ", text[: 4 * MAX_MESSAGE]).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def server_message(body: bytes) -> str:
    """What an error body says, in one line."""
    return one_line(_message_and_code(body)[0])


def _message_and_code(body: bytes) -> tuple[str, str]:
    """OpenAI's {"error": {"message", "code"}}, FastAPI's {"detail"}, or the text itself."""
    try:
        found = from_json(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return body[: 4 * MAX_MESSAGE].decode("utf-8", "replace"), ""
    inner = found.get("error")
    error = inner if isinstance(inner, dict) else found
    texts = (inner, error.get("message"), error.get("detail"), found.get("message"))
    message = next((text for text in texts if isinstance(text, str)), None)
    if message is None:
        message = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace")
    return message, one_line(str(error.get("code") or ""))


def retry_after_s(headers: Mapping[str, str], *, now_s: float | None = None) -> float | None:
    """Seconds a server asks to wait, at most MAX_RETRY_AFTER_S; None where it does not say.

    `Retry-After` in seconds or as an HTTP date (RFC 9110), `retry-after-ms`, and OpenAI's
    x-ratelimit-reset-requests / -tokens ("1s", "6m0s"): the first to end of those.
    """
    asked = headers.get("Retry-After", "").strip()
    wait = _milliseconds(headers.get("retry-after-ms", ""))
    if wait is None:
        wait = _seconds(asked)
    if wait is None and asked:
        wait = _until(asked, time.time() if now_s is None else now_s)
    if wait is None:
        resets = [headers.get(f"x-ratelimit-reset-{what}", "") for what in ("requests", "tokens")]
        wait = min(filter(None, map(_duration, resets)), default=None)
    return None if wait is None else min(max(wait, 0.0), MAX_RETRY_AFTER_S)


def _seconds(text: str) -> float | None:
    return float(text) if _SECONDS.fullmatch(text.strip()) else None


def _milliseconds(text: str) -> float | None:
    number = _seconds(text)
    return None if number is None else number / 1000


def _until(date: str, now_s: float) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        wait = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now_s
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return wait if math.isfinite(wait) else None


def _duration(text: str) -> float | None:
    """Go's way to write one: 1h2m3.5s, 250ms."""
    match = _GO_DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return _seconds(text)
    try:
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    except ValueError:  # 1.2.3s
        return None
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
