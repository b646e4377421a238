"""Requests that were turned away at the door (403, 404, 405) by a server that answers others.

A firewall's page about one record, a page that is missing for a moment, or the end of our welcome:
one such reply does not tell. Invariant: a record is only given up after the server has turned it
away twice (four times with 404: that is hardly ever about a record), while it answered what was
sent in between or turned away few; never because the server turns everybody away from some moment
on.
"""

from __future__ import annotations

from hashlib import blake2b

TIMES = {403: 2, 404: 4, 405: 2}  # status -> how often a record meets it before it is given up
FEW = 5  # records turned away since the last answer
MOST_TRIES = 64  # since the last answer; from then on nobody is welcome


class Suspects:
    """Of one server; requests are numbered as they are sent, from 1."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}  # a request -> the last number when it first met this
        self._times: dict[bytes, int] = {}
        self._since_answer: set[bytes] = set()
        self._answered = 0  # the highest number that was answered
        self._num_tries = 0  # since the last answer

    def answered(self, number: int) -> None:
        """The server has answered request `number`."""
        self._answered = max(self._answered, number)
        if self._num_tries:
            self._since_answer.clear()
            self._num_tries = 0

    @property
    def has_answered(self) -> bool:
        return self._answered > 0

    @property
    def is_everybody(self) -> bool:
        """Whether the server that used to answer turns everybody away."""
        return self.has_answered and self._num_tries >= MOST_TRIES

    def is_proven(self, body: bytes, status: int, *, last_sent: int) -> bool:
        """`body` was turned away (again): whether that is about this record only."""
        request = blake2b(body, digest_size=16).digest()
        self._num_tries += 1
        self._since_answer.add(request)
        times = self._times[request] = self._times.get(request, 0) + 1
        first = self._first.setdefault(request, last_sent)
        if times < TIMES[status]:
            return False
        return self._answered > first or (self.has_answered and len(self._since_answer) < FEW)
