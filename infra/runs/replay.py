"""A chat model whose replies are kept until the record that asked for them is finished.

Role: stands between a step and the engine. Invariant: a reply that arrived is never paid for again,
whatever dies afterwards; a request whose reply was lost is counted when it is sent again.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Protocol

from tasks.ports import ChatModel, Completion, Prompt, Sampling
from tasks.schemas import content_id


class RequestJournal(Protocol):
    """The durable side, kept by infra/storage."""

    def issued(self, key: str) -> None: ...
    def completed(self, key: str, payload: str) -> None: ...
    def lookup(self, key: str) -> str | None: ...


async def _nothing(text: str) -> None: ...


def _nobody(completions: list[Completion]) -> None: ...


class ReplayedChat:
    """ChatModel of one record.

    `keys` are the requests it made, to be forgotten with the record; `paid` the replies it got, for
    the account of a record that ends without rows of its own. `on_text` is awaited with each text
    before the step has it; `on_paid` is told of replies that were not kept from before.
    """

    def __init__(
        self, model: ChatModel, *, name: str, fingerprint: str, journal: RequestJournal,
        on_text: Callable[[str], Awaitable[object]] = _nothing,
        on_paid: Callable[[list[Completion]], None] = _nobody,
    ) -> None:  # fmt: skip
        self._model = model
        self._on_paid = on_paid
        self._on_text = on_text
        self._name = name
        self._fingerprint = fingerprint
        self._journal = journal
        self.keys: list[str] = []
        self.paid: list[list[Completion]] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def engine(self) -> str:
        return self._model.engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """The kept reply if there is one, else the model's."""
        # vars(), not asdict(): the fields are plain values, and asdict() copies them deeply.
        key = content_id(self._fingerprint, vars(prompt), vars(sampling))
        self.keys.append(key)
        if (kept := self._journal.lookup(key)) is not None:
            completions = [Completion(**fields) for fields in json.loads(kept)]
        else:
            self._journal.issued(key)
            completions = await self._model.complete(prompt, sampling)
            self._journal.completed(key, json.dumps([vars(c) for c in completions]))
            self._on_paid(completions)
        self.paid.append(completions)
        for completion in completions:
            await self._on_text(completion.text)
        return completions
