"""Models behind OpenAI-compatible servers, over one pooled asynchronous HTTP session.

Invariants: one call of `complete` gives exactly `num_candidates` completions or raises; candidates
that arrived are not paid for again when others of the same request are tried again; the same
request carries the same seed, where the server takes one. What a server cannot be told is refused
or, of the parameters of sampling, left out and said once; never left out silently.

A sample: `await EndpointModel(config, secrets={}).complete(Prompt(text="1 + 1?"), Sampling())`
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from infra.engines.config import EngineConfig
from infra.engines.endpoint.client import Answer, EndpointClient
from infra.engines.endpoint.context_length import room_for_reply
from infra.engines.endpoint.finish_reasons import KNOWN
from infra.engines.endpoint.messages import chat_request
from infra.engines.endpoint.parameters import LOGGER, Parameters
from infra.engines.endpoint.rate_limits import Cost
from infra.engines.endpoint.replies import ChatReply, completions
from tasks.intake.values import control_text
from tasks.ports import (
    Completion,
    PermanentError,
    Prompt,
    Sampling,
    ScoreRequest,
    TokenScores,
    TransientError,
)
from tasks.stage import derive_seed
from tasks.structured import after_thought

_log = logging.getLogger(LOGGER)
EMPTY_RETRIES = 2  # an empty reply is asked for again so often, then it is the outcome
_Candidates = list[Completion | None]


class EndpointModel:
    """A ServedModel (infra.engines). Safe in many event loops; nothing is connected before it is
    asked. `secrets`: block name -> key; `outage_s`: how long one that is gone is waited for.
    Raises EndpointError."""

    def __init__(
        self, config: EngineConfig, *, secrets: Mapping[str, str], outage_s: float = 0.0
    ) -> None:
        assert config.endpoint is not None
        self._config = config
        self._must_be_together = config.endpoint.candidates == "together"
        self._parameters = Parameters(config.endpoint)
        self._client = EndpointClient(config, secrets=secrets, outage_s=outage_s)
        self._ignores_n = False
        self._unknown_reasons: set[str] = set()
        self._arrived: dict[tuple[str, Sampling], _Candidates] = {}  # of requests not yet whole

    @property
    def name(self) -> str:
        """The model, as the recipe names it."""
        return self._config.model

    @property
    def engine(self) -> str:
        """The kind of engine."""
        return self._config.engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See ChatModel. Raises EndpointError too."""
        text = _checked(prompt)
        key = (text, sampling)
        found = self._arrived.pop(key, None)
        if found is None:
            found = await self._ask_first(text, sampling)
        if None in found:
            await self._ask_for_missing(text, sampling, found, key)
        return [completion for completion in found if completion is not None]

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See ScoringModel: servers give no log-probabilities of a given text."""
        raise PermanentError("no_scoring", f"the endpoint of {self.name} cannot score texts")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _ask_first(self, text: str, sampling: Sampling) -> _Candidates:
        """All candidates in one request, or the first; None for each that is missing or empty."""
        wanted = sampling.num_candidates
        is_together = self._parameters.takes_n and not self._ignores_n
        asked = wanted if is_together else 1
        replies = await self._ask(text, sampling, num_candidates=asked, seed=sampling.seed)
        if len(replies) < asked and self._must_be_together:
            raise TransientError(f"the server gave {len(replies)} choices where {asked} were asked")
        if len(replies) == 1 < asked:
            self._ignores_n = True
        found = [None if r is None or _is_empty(r) else r for r in _best(replies, asked)]
        return found + [None] * (wanted - len(found))

    async def _ask_for_missing(
        self, text: str, sampling: Sampling, found: _Candidates, key: tuple[str, Sampling]
    ) -> None:
        """Fill `found`, a request a candidate; what arrived is kept if another one fails."""
        missing = [number for number, reply in enumerate(found) if reply is None]
        outcomes = await asyncio.gather(
            *(self._ask_alone(text, sampling, number) for number in missing),
            return_exceptions=True,
        )
        errors: list[BaseException] = []
        for number, outcome in zip(missing, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                errors.append(outcome)
            else:
                found[number] = outcome
        fatal = [error for error in errors if not isinstance(error, TransientError)]
        if errors and not fatal:
            self._arrived[key] = found
        for error in (*fatal, *errors):
            raise error

    async def _ask_alone(self, text: str, sampling: Sampling, number: int) -> Completion:
        for attempt in range(EMPTY_RETRIES):
            seed = derive_seed(sampling.seed, "candidate", number, attempt)
            (reply,) = _best(await self._ask(text, sampling, num_candidates=1, seed=seed), 1)
            assert reply is not None  # at least one of a reply's choices is usable
            if not _is_empty(reply):
                break
        assert reply is not None
        return reply

    async def _ask(
        self, text: str, sampling: Sampling, *, num_candidates: int, seed: int
    ) -> list[Completion | None]:
        """What one request gives, None for a choice that broke off; asked again, which costs
        nothing, as long as the server names a parameter that it will not take."""
        room, num_shrinks = None, 0
        while True:
            sent = self._parameters.of(
                sampling, num_candidates=num_candidates, seed=seed, room=room
            )
            body = chat_request(self.name, text, sampling, sent)
            answer = await self._client.post(body, Cost(len(text), sent.max_tokens, sent.n))
            if isinstance(answer, Answer):
                break
            shrunk = None
            if not answer.is_passing:
                shrunk = room_for_reply(
                    answer.message, sent, prompt_chars=len(text), num_tries=num_shrinks
                )
            if shrunk is not None:
                room, num_shrinks = shrunk, num_shrinks + 1
            elif not self._parameters.learn(answer, sent):
                raise self._client.fate(answer, body)
        self._parameters.were_taken(sent)
        reply = answer.reply
        if reply.prompt_tokens + reply.completion_tokens:
            self._client.limits.settle(
                answer.reservation,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
            )
        self._say_unknown(reply)
        return completions(reply, latency_s=answer.latency_s)

    def _say_unknown(self, reply: ChatReply) -> None:
        for candidate in filter(None, reply.candidates):
            reason = candidate.finish_reason
            if reason not in KNOWN and reason not in self._unknown_reasons:
                self._unknown_reasons.add(reason)
                _log.warning(
                    "%s: nobody knows what finish_reason %r means: the rows keep that word",
                    self._client.url, reason,
                )  # fmt: skip


def _best(replies: _Candidates, num_wanted: int) -> _Candidates:
    """As many as were asked for, of a server that gives more: those that are usable first."""
    if len(replies) <= num_wanted:
        return replies
    usable = [reply for reply in replies if reply is not None]
    return [*usable, *(None for _ in replies)][:num_wanted]


def _is_empty(reply: Completion) -> bool:
    """Nothing, or a thought and nothing behind it, where the limit or a filter is not why."""
    is_explained = reply.finish_reason in ("length", "content_filter")
    return not is_explained and not after_thought(reply.text).strip()


def _checked(prompt: Prompt) -> str:
    """The text to send. A server's chat template would read a control token in it as one."""
    if prompt.compress:
        raise PermanentError(
            "no_compress_token",
            "a chat server cannot be told to put the control token <compress> into its prompt: "
            "host the model with engine 'vllm' or 'transformers'",
        )
    if (found := control_text(prompt.text)) is not None:
        raise PermanentError(
            "control_token", f"the text holds {found!r}, a control token to many servers"
        )
    return prompt.text.encode("utf-8", "replace").decode("utf-8")
