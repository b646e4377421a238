"""Models behind OpenAI-compatible servers, over one pooled asynchronous HTTP session.

Invariants: one call of `complete` gives exactly `num_candidates` completions or raises; candidates
that arrived are not paid for again when others of the same request are tried again; the same
request carries the same seed. What a server cannot be told is refused, never left out silently.

A sample: `await EndpointModel(config, secrets={}).complete(Prompt(text="1 + 1?"), Sampling())`
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from infra.engines.config import EngineConfig
from infra.engines.endpoint.client import EndpointClient
from infra.engines.endpoint.messages import TokenLimit, chat_request, completions, parse_reply
from infra.engines.endpoint.rate_limits import Cost
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

EMPTY_RETRIES = 2  # an empty reply is asked for again so often, then it is the outcome
_Candidates = list[Completion | None]


class EndpointModel:
    """A ServedModel (infra.engines). Safe in many event loops; nothing is connected before it is
    asked. `secrets`: block name -> key. Raises EndpointError."""

    def __init__(self, config: EngineConfig, *, secrets: Mapping[str, str]) -> None:
        assert config.endpoint is not None
        self._config = config
        self._candidates = config.endpoint.candidates
        self._client = EndpointClient(config, secrets=secrets)
        self._ignores_n = False
        self._token_limit: TokenLimit = "max_tokens"
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
        is_together = self._candidates != "separate" and not self._ignores_n
        asked = wanted if is_together else 1
        replies = await self._ask(text, sampling, num_candidates=asked, seed=sampling.seed)
        if len(replies) > asked or (len(replies) < asked and self._candidates == "together"):
            raise TransientError(f"the server gave {len(replies)} choices where {asked} were asked")
        if len(replies) == 1 < asked:
            self._ignores_n = True
        missing = wanted - len(replies)
        return [None if _is_empty(reply) else reply for reply in replies] + [None] * missing

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
            replies = await self._ask(text, sampling, num_candidates=1, seed=seed)
            if len(replies) != 1:
                raise TransientError(f"the server gave {len(replies)} choices where 1 was asked")
            if not _is_empty(replies[0]):
                break
        return replies[0]

    async def _ask(
        self, text: str, sampling: Sampling, *, num_candidates: int, seed: int
    ) -> list[Completion]:
        limit = self._token_limit
        body = chat_request(
            self.name, text, sampling, num_candidates=num_candidates, seed=seed, limit=limit
        )
        try:
            cost = Cost(len(text), sampling.max_tokens, num_candidates)
            answer = await self._client.post(body, cost)
            reply = parse_reply(answer.body)
        except (PermanentError, TransientError) as error:
            if limit == "max_tokens" and "max_completion_tokens" in str(error):
                self._token_limit = "max_completion_tokens"  # OpenAI's reasoning models want it
                return await self._ask(text, sampling, num_candidates=num_candidates, seed=seed)
            raise
        if reply.usage is not None:
            self._client.limits.settle(
                answer.reservation,
                prompt_tokens=reply.usage.prompt_tokens,
                completion_tokens=reply.usage.completion_tokens,
            )
        return completions(reply, latency_s=answer.latency_s)


def _is_empty(reply: Completion) -> bool:
    return not reply.text and reply.finish_reason == "stop"


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
