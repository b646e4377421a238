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
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime

from infra.engines.endpoint.context_length import fills_context, is_about_reply
from infra.engines.endpoint.error_bodies import ErrorBody, read_error
from infra.engines.endpoint.suspects import TIMES
from tasks.errors import LitecotError
from tasks.ports import PermanentError, TransientError

MAX_RETRY_AFTER_S = 300.0
MAX_MESSAGE = 300  # characters of a server's own words
TRANSIENT = {408, 409, 425, 429}
ABOUT_REQUESTS = {400, 403, 413, 422}
_RATE = re.compile(
    r"rate.?limit|too many (?:concurrent )?requests|\b(?:requests?|tokens?) (?:per|a|/) ?"
    r"(?:second|minute|hour|day)|\b[TR]P[MDS]\b|throttl|concurren|slow down|try again (?:later|in)"
    r"|temporarily|resource_exhausted",
    re.IGNORECASE,
)
_NO_MONEY = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|billing_(?:hard_limit_reached|not_active"
    r"|error)|exceeded_current_quota_error|payment.required|arrearage|out of credits",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"api.?key|authenti|authori[sz]|credential|permission|\btoken\b|not allowed to|account"
    r"|subscription|organi[sz]ation|region|country|territory",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(r"\bmodel\b.{0,80}(?:not (?:exist|found|available)|does ?n.t exist)", re.I)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|prompt is too long|too many (input )?tokens|max_model_len"
    r"|reduce the length|input is too long|string_above_max_length|prompt too long"
    r"|input (?:token count|length|tokens?).{0,40}exceed",
    re.IGNORECASE,
)
_MODERATED = re.compile(
    r"moderat|flagged|content.?(filter|policy|management|safety)|inappropriate|sensitive|unsafe"
    r"|usage polic|data_inspection",
    re.IGNORECASE,
)
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
    """A reply that is no completion; what the server said is tidied.

    `status`: of HTTP, or as the error in a reply of status 200 names it (None: it names none).
    """

    status: int | None
    message: str
    code: str
    retry_after_s: float | None
    kind: str = ""  # other short words of the error, e.g. why a filter struck
    names: frozenset[str] = frozenset()  # of the request's fields that the error points at
    is_page: bool = False  # a web page: of a proxy or a firewall
    named: int | None = None  # the status that the error itself names
    is_inside: bool = False  # in a reply of status 200

    @classmethod
    def read(
        cls, status: int, headers: Mapping[str, str], body: bytes, *, key: Key,
        charset: str | None = None,
    ) -> Refusal:  # fmt: skip
        """From an HTTP reply."""
        return cls._of(read_error(body, charset=charset), status, headers, key)

    @classmethod
    def inside(cls, error: ErrorBody, headers: Mapping[str, str], *, key: Key) -> Refusal:
        """Of an error in a reply of status 200: as if its status had been the one it names."""
        return replace(cls._of(error, error.status, headers, key), is_inside=True)

    @classmethod
    def _of(
        cls, error: ErrorBody, status: int | None, headers: Mapping[str, str], key: Key
    ) -> Refusal:
        return cls(
            status, one_line(key.hide(error.message)), one_line(key.hide(error.code)),
            retry_after_s(headers), kind=one_line(key.hide(error.kind)), names=error.names,
            is_page=error.is_page, named=error.status,
        )  # fmt: skip

    @property
    def said(self) -> str:
        """The server's words, with the status."""
        status = f"HTTP {self.status}"
        if self.is_inside:
            status = f"HTTP 200 with error {self.status or self.code}".rstrip()
        return f"{status}: {self.message}" if self.message else status

    @property
    def words(self) -> str:
        """All it said that may tell what it means."""
        return f"{self.code} {self.kind} {self.message}"

    @property
    def is_passing(self) -> bool:
        """The same request may succeed later."""
        if self.status is None or self.status in TRANSIENT or self.status >= 500:
            return True
        is_about_rate = self.named in TRANSIENT or _RATE.search(self.words) is not None
        return self.status in ABOUT_REQUESTS and is_about_rate

    @property
    def may_be_a_firewall(self) -> bool:
        """It may be about this one record only, where the server answers others."""
        if self.is_passing or self.status not in TIMES or self._is_about_us:
            return False
        return not _MODERATED.search(self.words)

    @property
    def is_blocking_page(self) -> bool:
        """A web page that says no: no model's server speaks so."""
        return self.is_page and self.status == 403

    @property
    def _is_about_us(self) -> bool:
        names_model = self.code == "model_not_found" or _NO_MODEL.search(self.message)
        return bool(names_model or _NO_MONEY.search(self.words) or _KEY.search(self.words))

    def error(self, url: str, key: Key) -> Exception:
        """The error to raise: Transient-, Permanent- or EndpointError."""
        if stop := self._why_to_stop(url, key, self.said):
            return EndpointError(stop)
        if self.is_passing:
            return TransientError(f"{url}: {self.said}", retry_after_s=self.retry_after_s)
        return self.rejection()

    def rejection(self) -> PermanentError:
        """What a record is rejected with that the server will not have."""
        is_too_long = self.status == 413 or _TOO_LONG.search(self.words)
        is_prompt = is_too_long and not is_about_reply(self.message)
        reason = "prompt_too_long" if is_prompt or fills_context(self.message) else "refused"
        return PermanentError(reason, self.said)

    def _why_to_stop(self, url: str, key: Key, said: str) -> str | None:
        if self.status == 402 or (_NO_MONEY.search(self.words) and (self.status or 500) < 500):
            return f"the account at {url} cannot pay ({said})"
        if self.is_passing:
            return None
        if self.status == 401 or (self.status == 403 and not _MODERATED.search(self.words)):
            if not key.value:
                return f"{url} wants a key and none was sent ({said}): set {key.source}"
            return f"{url} refuses the key from {key.source} ({said})"
        if self.status in (404, 405) or self.code == "model_not_found":
            return (
                f"{url} has no such model or page ({said}): check model and endpoint.base_url in "
                "the recipe"
            )
        if self.status is not None and 300 <= self.status < 400:
            return f"{url} redirects ({said}): set endpoint.base_url to where it leads"
        return None


def one_line(text: str) -> str:
    """One short printable line of anybody's text."""
    line = " ".join(_UNPRINTABLE.sub(" ", text[: 4 * MAX_MESSAGE]).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def server_message(body: bytes) -> str:
    """What an error body says, in one line."""
    return one_line(read_error(body).message)


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
