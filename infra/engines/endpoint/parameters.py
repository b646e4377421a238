"""Which parameters of a request one server takes, as its refusals and the recipe say.

Invariants: a parameter is left out only where the recipe says so or the server has refused it by
name, and that is said once; a record's own text, repeated in an error, is never taken for that;
what changes the meaning of a request (stop, response_format) is never left out.

A sample: HTTP 422 {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]} -> no request
carries a seed from then on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection

from infra.engines.config import EndpointOptions
from infra.engines.endpoint.context_length import numbers_in
from infra.engines.endpoint.messages import Parameter, Sent, TokenLimit
from infra.engines.endpoint.refusals import EndpointError, Refusal
from tasks.ports import Sampling

LOGGER = "litecot.endpoint"  # what it says at level WARNING is shown to who runs a recipe
_log = logging.getLogger(LOGGER)
LEAST_LIMIT = 16  # tokens of a reply
_STATUSES = {400, 413, 422, 500, 501}

_ALIASES: dict[Parameter, tuple[str, ...]] = {
    "n": (
        "n", "candidateCount", "candidate_count", "num_return_sequences", "num_completions",
        "num_generations", "best_of",
    ),
    "seed": ("seed", "random_seed"),
    "temperature": ("temperature",),
    "top_p": ("top_p", "topP"),
    "max_completion_tokens": ("max_completion_tokens",),
    "max_tokens": ("max_tokens", "maxOutputTokens", "max_output_tokens", "max_new_tokens"),
}  # fmt: skip
_OF_NAME = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
_ONE_CANDIDATE = re.compile(
    r"(?:multiple|several) (?:candidates|choices|completions|generations)"
    r"|number of (?:candidates|choices|completions|generations)"
    r"|only (?:one|1|a single) (?:candidate|choice|completion|generation)", re.IGNORECASE,
)  # fmt: skip
_REFUSES = re.compile(
    r"\bnot (?:be |yet |currently )?(?:support|permit|allow|accept|recogni|valid|enabled|available"
    r"|implemented|a |defined|understood|expected|used|specified)|unsupport|unknown|unrecogni"
    r"|unexpected|extraneous|\bextra\b|invalid|must (?:be|not)|should be|(?:n't|not) (?:be )?"
    r"(?:support|accept|allow|take)|\bonly\b|at most|cannot|can't|too (?:large|high|big|small|many"
    r"|low)|deprecated|forbidden|disallowed|\brange\b|out of|greater|less than|exceed|no longer"
    r"|positive|cannot find|maximum|up to| > | <= |≤", re.IGNORECASE,
)  # fmt: skip
_ADVICE = re.compile(  # what is named behind these is no complaint
    r"expected one of|(?:allowed|valid|supported|accepted|known|permitted|available)"
    r" (?:fields|parameters|arguments|names|keys|options)\b|did you mean|\b(?:please )?use\b"
    r"|\binstead\b|\bwhen using\b|\bhint\b", re.IGNORECASE,
)  # fmt: skip
_CLAUSES = re.compile(r"(?<=[.;!?])\s+|\n")
_NOUN = (
    r"(?:parameters?|params?|arguments?|fields?|propert(?:y|ies)|inputs?|keys?|names?|options?"
    r"|supplied|value(?: for| of)?)"
)
_TOO_MUCH = re.compile(
    r"too (?:large|high|big|many)|at most|less than|<=|≤|maximum|exceed|range|>|up to|limit",
    re.IGNORECASE,
)
_NO_SUCH_NAME = re.compile(
    r"unsupported param|unknown (?:param|field|name)|unrecogni[sz]ed|extra|not supported with"
    r"|\buse\W+max_completion_tokens", re.IGNORECASE,
)  # fmt: skip
_OTHER_LIMIT = re.compile(r"\buse\W+max_completion_tokens", re.IGNORECASE)


class Parameters:
    """What one server takes. Raises EndpointError where that is not what the recipe asks for."""

    def __init__(self, options: EndpointOptions) -> None:
        self._url = options.base_url
        self._must_be_together = options.candidates == "together"
        self._left_out: set[Parameter] = set(options.omit)
        self._taken: set[Parameter] = set()
        self._most_tokens: int | None = None
        self._limit: TokenLimit | None = "max_tokens"
        if "max_tokens" in self._left_out:
            self._limit = None
        if options.candidates == "separate":
            self._left_out.add("n")

    @property
    def takes_n(self) -> bool:
        """Whether several candidates are asked for in one request."""
        return "n" not in self._left_out

    def of(self, sampling: Sampling, *, num_candidates: int, seed: int, room: int | None) -> Sent:
        """What the next request carries; `room`: tokens that its prompt leaves for the reply."""
        limits = (sampling.max_tokens, self._most_tokens, room)
        return Sent(
            n=num_candidates if self.takes_n else 1,
            seed=None if "seed" in self._left_out else seed,
            temperature=None if "temperature" in self._left_out else sampling.temperature,
            top_p=None if "top_p" in self._left_out else sampling.top_p,
            limit=self._limit,
            max_tokens=min(limit for limit in limits if limit is not None),
        )

    def were_taken(self, sent: Sent) -> None:
        """The server has answered a request that carried these."""
        self._taken |= {name for name in _ALIASES if sent.has(name)}

    def learn(self, refusal: Refusal, sent: Sent) -> bool:
        """Whether another request than `sent` can be made of what the refusal says."""
        if refusal.status not in _STATUSES or (refusal.is_passing and refusal.status < 500):
            return False
        refused = {name for name in _refused(refusal) if sent.has(name)}
        named = {name for name in _pointed_at(refusal) if sent.has(name)}
        refused = named | (refused - self._taken)
        if sent.has("max_tokens") and _OTHER_LIMIT.search(refusal.message):
            refused.add("max_tokens")
        if not refused:
            return False
        if {"temperature", "top_p"} <= refused and re.search(r"\bboth\b", refusal.message):
            refused = {"top_p"}
        for name in sorted(refused):
            self._give_up(name, refusal, sent)
        return True

    def _give_up(self, name: Parameter, refusal: Refusal, sent: Sent) -> None:
        if name in ("max_tokens", "max_completion_tokens"):
            self._limit_otherwise(name, refusal, sent)
        elif name not in self._left_out:
            if name == "n" and self._must_be_together:
                raise EndpointError(
                    f"{self._url} gives one candidate a request ({refusal.said}): set "
                    'endpoint.candidates = "separate" in the recipe'
                )
            self._left_out.add(name)
            if name == "n":
                what = "candidates are asked for one by one from now on"
                setting = 'endpoint.candidates = "separate"'
            else:
                what = f"{name} is left out from now on, so the server's own default holds"
                setting = f'endpoint.omit = ["{name}"]'
            self._say(f"{what} ({refusal.said}); {setting} says so beforehand")

    def _limit_otherwise(self, name: Parameter, refusal: Refusal, sent: Sent) -> None:
        message = refusal.message
        is_too_much = _TOO_MUCH.search(message) and not _NO_SUCH_NAME.search(message)
        least = max(LEAST_LIMIT, sent.max_tokens // 128)  # a smaller number is about something else
        smaller = [n for n in numbers_in(message) if least <= n < sent.max_tokens]
        if is_too_much and smaller:
            if self._most_tokens is None or max(smaller) < self._most_tokens:
                self._most_tokens = max(smaller)
                self._say(
                    f"a reply has at most {self._most_tokens} tokens from now on, not "
                    f"{sent.max_tokens} ({refusal.said})"
                )
        elif self._limit == name:  # others in flight may have been told the same
            other: TokenLimit = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
            self._left_out.add(name)
            self._limit = None if other in self._left_out or is_too_much else other
            if self._limit is None:
                self._say(
                    f"{name} is left out from now on, so the server's own limit holds "
                    f'({refusal.said}); endpoint.omit = ["max_tokens"] says so beforehand'
                )

    def _say(self, what: str) -> None:
        _log.warning("%s: %s", self._url, what)


def _pointed_at(refusal: Refusal) -> set[Parameter]:
    """What the error's own field names (param, loc, fieldViolations)."""
    return {_OF_NAME[name] for name in refusal.names if name in _OF_NAME}


def _refused(refusal: Refusal) -> set[Parameter]:
    """What the words complain about."""
    found: set[Parameter] = set()
    for clause in _CLAUSES.split(refusal.message):
        complaint = _ADVICE.split(clause)[0]
        if _ONE_CANDIDATE.search(complaint):
            found.add("n")
        if _REFUSES.search(clause):
            found |= {name for name, named in _NAMED.items() if named.search(complaint)}
    return found


def _named(aliases: Collection[str]) -> re.Pattern[str]:
    """A parameter as such, not a word of somebody's text: quoted, or beside what says so."""
    name = "(?:" + "|".join(map(re.escape, aliases)) + ")"
    ways = [
        rf"""['"`\u2018\u201c\[(]{name}['"`\u2019\u201d\])]""",
        rf"{_NOUN}\W{{1,4}}{name}\b",
        rf"\b{name}['\"`]? (?:parameter|argument|field|property|value|option)\b",
        rf"^\W*(?:(?:error|value|validation|input|the|invalid|unsupported|unknown|body)\W+)*{name}\b",
        rf"\binvalid {name}\b",
        rf": {name}\W*$",
        rf"-> ?{name}\b|\b{name} extra\b",
        rf"\b{name} ?(?:=|>|<|≤|\bis not|\bmust|\bshould|\bcannot)",
        rf"\b(?:body|request|generationConfig|generation_config)\.{name}\b",
    ]
    whole = [alias for alias in aliases if "_" in alias or alias != alias.lower()]  # no words
    ways += [rf"\b{alias}\b" for alias in whole]
    return re.compile("|".join(ways), 0 if "n" in aliases else re.IGNORECASE)


_NAMED = {name: _named(aliases) for name, aliases in _ALIASES.items()}
