"""One server's connections: a pooled session an event loop, and what becomes of each request.

Invariants: at most `max_in_flight` requests at a time from one loop; a POST is never sent again
here (that could be paid twice): a fault is raised, and infra/runs/retries.py decides; once the
server has turned us away for good, nothing more is sent to it; one that is gone for a while is
waited for (absence.py); what is wrong with one record stops no other. The key appears in no error.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from infra.engines.config import EndpointOptions, EngineConfig
from infra.engines.endpoint.absence import STATUSES, Absence
from infra.engines.endpoint.rate_limits import Cost, RateLimits, Reservation
from infra.engines.endpoint.refusals import EndpointError, Key, Refusal, one_line
from infra.engines.endpoint.replies import ChatReply, parse_reply
from infra.engines.endpoint.suspects import Suspects
from infra.engines.endpoint.thoughts import Habit
from tasks.ports import PermanentError, TransientError

KEEP_ALIVE_S = 4.0  # below the 5 s after which uvicorn (vLLM, SGLang) closes an idle connection
DNS_CACHE_S = 300
PROBE_TIMEOUT_S = 10.0
MAX_REPLY_BYTES = 128 * 2**20  # 64 candidates of 32K tokens, six bytes a character
_AT_ONCE = Reservation(0.0, 0.0, 1)


@dataclass(frozen=True)
class Answer:
    """A reply with candidates. `latency_s`: from sending to the last byte, waits not included."""

    reply: ChatReply
    latency_s: float
    reservation: Reservation


@dataclass(frozen=True)
class Page:
    """What a server sent."""

    status: int
    headers: Mapping[str, str]
    charset: str | None
    body: bytes


@dataclass
class _Line:
    """What one event loop holds of the server."""

    session: aiohttp.ClientSession
    probe: asyncio.Task[None]
    room: asyncio.Semaphore
    absence: Absence
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class EndpointClient:
    """POSTs JSON to one page of one server. Raises EndpointError where the key cannot be sent."""

    def __init__(
        self, config: EngineConfig, *, secrets: Mapping[str, str], outage_s: float = 0.0
    ) -> None:
        assert config.endpoint is not None
        self._options = config.endpoint
        self._outage_s = outage_s
        self._max_in_flight = config.max_in_flight
        self._key = _key(config.endpoint, secrets)
        self.limits = RateLimits(
            requests_per_minute=config.endpoint.requests_per_minute,
            tokens_per_minute=config.endpoint.tokens_per_minute,
        )
        base = URL(config.endpoint.base_url.rstrip("/") + "/")
        self._url, self._models = base / "chat/completions", base / "models"
        self.url = str(base.with_user(None).with_query(None)).rstrip("/")  # as errors name it
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}
        self._opening = threading.Lock()
        self._stop: str | None = None
        self._num_sent = 0
        self._suspects = Suspects()
        self._habit = Habit()

    async def post(self, body: bytes, cost: Cost) -> Answer | Refusal:
        """Send when there is room. A Refusal is the caller's to understand, or to raise as what
        `fate` makes of it. Raises TransientError, and EndpointError once the server has turned us
        away for good."""
        line = self._line()
        if not line.probe.done():
            await asyncio.shield(line.probe)
        async with line.room:
            reservation = await self._take_turn(line, cost) if self.limits.are_set else _AT_ONCE
            await line.absence.ended()
            if self._stop is not None:
                raise EndpointError(self._stop)
            self._num_sent += 1
            number, sent_s = self._num_sent, time.perf_counter()
            try:
                received = await self._send(line.session, body)
            except TransientError:
                line.absence.suspect()
                raise
            latency_s = time.perf_counter() - sent_s
        found = self._read(received)
        if isinstance(found, Refusal):
            if received.status in STATUSES:
                line.absence.suspect()
            return found
        self._suspects.answered(number)
        return Answer(found, latency_s, reservation)

    def fate(self, refusal: Refusal, body: bytes) -> Exception:
        """What to raise for what was said to `body`: Transient-, Permanent- or EndpointError."""
        if refusal.may_be_a_firewall and (self._suspects.has_answered or refusal.is_blocking_page):
            return self._fate_of_suspect(refusal, body)
        error = refusal.error(self.url, self._key)
        if isinstance(error, EndpointError):
            self._stop = str(error)
        if isinstance(error, PermanentError) and not self._suspects.has_answered:
            # Maybe nothing about the record: a server that has not answered anything yet may
            # refuse everything, e.g. for a sampling parameter, and all records would be rejected.
            return TransientError(f"{self.url} has answered nothing yet: {error.detail}")
        return error

    def _fate_of_suspect(self, refusal: Refusal, body: bytes) -> Exception:
        """Turned away at the door: this one record, or all of them from now on."""
        assert refusal.status is not None
        if self._suspects.is_proven(body, refusal.status, last_sent=self._num_sent):
            return refusal.rejection()
        if self._suspects.is_everybody:
            error = refusal.error(self.url, self._key)
            self._stop = str(error)
            return error
        return TransientError(f"{self.url}: {refusal.said}", retry_after_s=refusal.retry_after_s)

    def _read(self, received: Page) -> ChatReply | Refusal:
        key, headers, charset = self._key, received.headers, received.charset
        if 200 <= received.status < 300:
            return parse_reply(
                received.body, key=key, headers=headers, charset=charset, habit=self._habit
            )
        return Refusal.read(received.status, headers, received.body, key=key, charset=charset)

    async def _take_turn(self, line: _Line, cost: Cost) -> Reservation:
        async with line.turn:  # one waits at a time, so the next one's wait knows of late replies
            reservation = self.limits.reserve(cost)
            await asyncio.sleep(reservation.wait_s)
        return reservation

    async def get(self, path: str, *, limit_s: float) -> Page:
        """GET a page beside the one that is posted to. Raises EndpointError where none comes."""
        limit = aiohttp.ClientTimeout(connect=self._options.connect_timeout_s, sock_read=limit_s)
        async with self._open_session() as session:
            try:
                async with session.get(
                    self._models.parent / path, timeout=limit, allow_redirects=False
                ) as response:
                    return Page(
                        response.status, response.headers, _charset(response), await _read(response)
                    )
            except aiohttp.SocketTimeoutError:
                raise EndpointError(
                    f"{self.url} takes connections and said nothing within {limit_s:g} s: is it "
                    "still loading its model?"
                ) from None
            except (aiohttp.ClientError, OSError) as error:
                raise EndpointError(self._unreachable(error)) from None

    def unusable(self, page: Page) -> EndpointError:
        """Of a page that was refused: what a run would end with, or be held up by."""
        refusal = Refusal.read(
            page.status, page.headers, page.body, key=self._key, charset=page.charset
        )
        error = refusal.error(self.url, self._key)
        if isinstance(error, EndpointError):
            return error
        return EndpointError(f"{self.url} is there and does not answer now ({refusal.said})")

    def close(self) -> None:
        """Close the connections of every loop."""
        with self._opening:
            lines, self._lines = self._lines, {}
        for loop, line in lines.items():
            _close(loop, line.session)

    async def _send(self, session: aiohttp.ClientSession, body: bytes) -> Page:
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as response:
                charset = _charset(response)
                return Page(response.status, response.headers, charset, await _read(response))
        except (aiohttp.ClientError, OSError) as error:  # time-outs are OSErrors
            raise TransientError(f"{self.url}: {self._describe(error)}") from None

    def _line(self) -> _Line:
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            session = self._open_session()
            probe = loop.create_task(self._probe(session))
            room = asyncio.Semaphore(self._max_in_flight)
            with self._opening:
                gone = [other for other in self._lines if other.is_closed()]
                left = [(other, self._lines.pop(other)) for other in gone]
                line = self._lines[loop] = _Line(session, probe, room, self._absence())
            for other, old in left:
                _close(other, old.session)
        return line

    def _open_session(self) -> aiohttp.ClientSession:
        headers = {"Content-Type": "application/json", "User-Agent": "litecot"}
        if self._key.value:
            headers["Authorization"] = f"Bearer {self._key.value}"
        timeout = aiohttp.ClientTimeout(
            total=self._options.timeout_s, connect=self._options.connect_timeout_s
        )
        connector = aiohttp.TCPConnector(
            limit=self._max_in_flight, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=DNS_CACHE_S
        )
        return aiohttp.ClientSession(
            headers=headers, timeout=timeout, connector=connector, proxy=_proxy(self._url),
            cookie_jar=aiohttp.DummyCookieJar(),
        )  # fmt: skip

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        """Whether anything listens, before records are sent. Whatever answers will do."""
        limit = aiohttp.ClientTimeout(
            connect=self._options.connect_timeout_s, sock_read=PROBE_TIMEOUT_S
        )
        try:
            async with session.get(self._models, timeout=limit, allow_redirects=False):
                pass
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            if not self._suspects.has_answered:
                self._stop = self._unreachable(error)
        except (aiohttp.ClientError, OSError):
            pass  # something is there, busy or odd: the requests will tell

    def _absence(self) -> Absence:
        def over(why: str) -> None:
            self._stop = why

        return Absence(self.url, outage_s=self._outage_s, look=self._gone, over=over)

    async def _gone(self) -> str | None:
        """What says that no server is there now; None: one is. On a connection of its own."""
        limit = aiohttp.ClientTimeout(
            connect=self._options.connect_timeout_s, sock_read=PROBE_TIMEOUT_S
        )
        try:
            async with (
                self._open_session() as session,
                session.get(self._models, timeout=limit, allow_redirects=False) as response,
            ):
                return f"HTTP {response.status}" if response.status in STATUSES else None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return self._describe(error)
        except (aiohttp.ClientError, OSError):
            return None  # as in _probe

    def _unreachable(self, error: Exception) -> str:
        return (
            f"no server answers at {self.url} ({self._describe(error)}): start it, or "
            "change endpoint.base_url in the recipe"
        )

    def _describe(self, error: Exception) -> str:
        if type(error) is TimeoutError:
            return f"no whole reply within {self._options.timeout_s:g} s"
        cause = getattr(error, "os_error", error)  # of a refused connection, an unknown name
        said = self._key.hide(getattr(cause, "strerror", None) or str(cause))
        return one_line(f"{type(error).__name__}: {said}" if said else type(error).__name__)


def _charset(response: aiohttp.ClientResponse) -> str | None:
    try:
        return response.charset
    except (ValueError, LookupError):
        return None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise aiohttp.ClientPayloadError(f"a reply of more than {MAX_REPLY_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _key(options: EndpointOptions, secrets: Mapping[str, str]) -> Key:
    if options.api_key_block is not None:
        source = f"the Prefect Secret block {options.api_key_block!r}"
        if options.api_key_block not in secrets:
            raise EndpointError(f"{source} of {options.base_url} was not loaded")
        value = secrets[options.api_key_block].strip()
    else:
        source = f"the environment variable {options.api_key_env}"
        value = os.environ.get(options.api_key_env, "").strip()
    if not (value.isascii() and value.isprintable()):
        raise EndpointError(f"{source} holds characters that no key has: set it again")
    return Key(value=value, source=source)


def _proxy(url: URL) -> str | None:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY, read once: aiohttp would read them at each request."""
    if urllib.request.proxy_bypass(url.host or ""):
        return None
    return urllib.request.getproxies().get(url.scheme)


def _close(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
    """Close a session of any loop from any thread: its loop may run, stand or be gone."""
    try:
        here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is not None and (loop is here or not loop.is_running()):
        _CLOSING.add(task := here.create_task(session.close()))
        task.add_done_callback(_CLOSING.discard)
    elif loop.is_running():
        asyncio.run_coroutine_threadsafe(session.close(), loop).result(timeout=5)
    elif loop.is_closed():
        asyncio.run(session.close())
    else:
        loop.run_until_complete(session.close())


_CLOSING: set[asyncio.Task[None]] = set()  # the loop itself holds tasks weakly only
