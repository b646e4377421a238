"""A chat server that answers with what real models wrote, for recipes that need a teacher.

Role: whole recipes run on real chains of several models (tests/real_chains.py) where no such model
can be loaded; it is test infrastructure and stands for a model nowhere else. Every reply is a
recorded chain, the published level of the problem or a source's label; no text is made up.
MATH-500 is TEST data: a ground for mechanics here, never a reason to train on it.
Invariant: a reply depends on the prompt; a rewrite's also on how many of its problem came before.

A sample: Recorded(question="What is 196's ...", level="easy", chains=(Chain(model="27b_long", ...),
Chain(model="32b_short", text="... \\boxed{9}", is_correct=True, is_whole=True), ...))
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests.chat_server import Asked, ChatServer, ServerConfig, serving_in_thread
from tests.real_chains import MATH500, read, save_qwen2_tokenizer

TEACHER, COMPRESSOR = "recorded-teacher", "recorded-compressor"
LONG, SHORT, MIDDLE = "27b_long", "32b_short", "14b"
REWRITERS = (SHORT, MIDDLE, LONG)  # whose chain is the first, second and third rewrite
PUBLISHED = {1: "easy", 2: "easy", 3: "medium", 4: "hard", 5: "hard"}
GOOD, BAD = ("valid", "sound", "complete"), ("invalid", "flawed", "incomplete")
REASON = "So it is recorded."
MAX_POSITIONS = 40960  # the longest chain has 33 000 tokens


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What a model wrote; `is_correct` is its source's grading, `is_whole` False if cut off."""

    model: str
    text: str
    is_correct: bool
    is_whole: bool


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A problem of MATH-500 with every model's chain."""

    question: str
    answer: str
    subject: str
    level: str
    chains: dict[str, Chain]

    def row(self, *models: str) -> dict[str, Any]:
        """A line of a file of rationales, as a person would bring it."""
        chains = [self.chains[model] for model in models]
        return {
            "question": self.question,
            "answer": self.answer,
            "subject": self.subject,
            "rationales": [chain.text for chain in chains],
            "correct": [chain.is_correct for chain in chains],
            "model": [chain.model for chain in chains],
        }

    def ladder(self) -> list[Chain]:
        """The chains, longest first."""
        return sorted(self.chains.values(), key=lambda chain: -len(chain.text))

    def shorter(self, chain: Chain | None) -> Chain:
        """The next shorter chain; after the shortest the next longer one, which is a rebound."""
        steps = self.ladder()
        place = -1 if chain is None else steps.index(chain)
        return steps[place + 1] if place + 1 < len(steps) else steps[-2]

    def chain_in(self, text: str) -> Chain | None:
        """The chain that a text holds."""
        found = squashed(text)
        return next((c for c in self.chains.values() if squashed(c.text) in found), None)


def squashed(text: str) -> str:
    """Without white space: a text is found however it was laid out."""
    return "".join(text.split())


def recorded_problems() -> list[Recorded]:
    """MATH-500 in its order; skips the test where the data is absent."""
    by_model = {
        model: {row["question"]: _chain(model, row) for row in read(name)}
        for model, name in MATH500.items()
    }
    return [
        Recorded(
            question=row["problem"],
            answer=row["answer"],
            subject=row["type"],
            level=PUBLISHED[int(row["level"])],
            chains={model: chains[row["problem"]] for model, chains in by_model.items()},
        )
        for row in read("math500_test")
    ]


def _chain(model: str, row: dict[str, Any]) -> Chain:
    """Cut off is a chain that boxes no answer, unless its source took it for correct."""
    text, is_correct = row["code"][0], bool(row["score"][0])
    is_whole = is_correct or "\\boxed" in text
    return Chain(model=model, text=text, is_correct=is_correct, is_whole=is_whole)


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """One object a line."""
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return file


class RecordedServer(ChatServer):
    """Judges by the published level, checks by the label, rewrites and compresses by the record."""

    def __init__(self, config: ServerConfig, problems: Sequence[Recorded]) -> None:
        super().__init__(config)
        self._problems = {squashed(problem.question): problem for problem in problems}
        self._rewrites: dict[tuple[str, int | None], Chain] = {}  # (prompt, seed) -> its reply
        self._num_rewrites: Counter[str] = Counter()  # question -> rewrites so far
        self.answered: Counter[str] = Counter()  # judge | rewrite | check | compress -> requests

    def reply(
        self, asked: Asked, num_choices: int, *, text: str | None = None,
        finish_reason: str = "stop",
    ) -> bytes:  # fmt: skip
        """What is recorded for what is asked."""
        problem = self._problem_of(asked.text)
        task = _task(asked, problem)
        self.answered[task] += 1
        if task == "judge":
            said = _said(asked, (problem.level,))
            return super().reply(asked, num_choices, text=said)
        chain = problem.chain_in(asked.text)
        if task == "check":
            said = _said(asked, GOOD if chain is not None and chain.is_correct else BAD)
            return super().reply(asked, num_choices, text=said)
        written = problem.shorter(chain) if task == "compress" else self._rewrite(asked, problem)
        line = _line_name(asked.text.lower(), problem.level) if task == "rewrite" else None
        heading = f"{line}: {problem.level}\n" if line else ""  # the single prompt asks for it
        reason = "stop" if written.is_whole else "length"
        return super().reply(asked, num_choices, text=heading + written.text, finish_reason=reason)

    def _problem_of(self, prompt: str) -> Recorded:
        """The problem whose question stands first in the prompt; of several there, the longest."""
        text = squashed(prompt)
        found = [question for question in self._problems if question in text]
        return self._problems[min(found, key=lambda q: (text.find(q), -len(q)))]

    def _rewrite(self, asked: Asked, problem: Recorded) -> Chain:
        key = (asked.text, asked.seed)
        if key not in self._rewrites:
            number = self._num_rewrites[problem.question]
            self._num_rewrites[problem.question] += 1
            self._rewrites[key] = problem.chains[REWRITERS[number % len(REWRITERS)]]
        return self._rewrites[key]


def _task(asked: Asked, problem: Recorded) -> str:
    """By who is asked, and whether the prompt holds a chain and begins with "Rewrite"."""
    if asked.body["model"] == COMPRESSOR:
        return "compress"
    if asked.text.lstrip().lower().startswith("rewrite"):
        return "rewrite"
    return "judge" if problem.chain_in(asked.text) is None else "check"


def _said(asked: Asked, words: Sequence[str]) -> str:
    """Of `words` those that were asked for: in the schema given, else a line each."""
    wanted = asked.body.get("response_format")
    if wanted is not None:
        properties = cast(dict[str, dict[str, Any]], wanted["json_schema"]["schema"]["properties"])
        return json.dumps({name: _value(kind, words) for name, kind in properties.items()})
    prompt = asked.text.lower()
    lines = [f"{name}: {word}" for word in words if (name := _line_name(prompt, word))]
    return "\n".join([f"Reason: {REASON}", *(lines or words[:1])])


def _line_name(prompt: str, word: str) -> str | None:
    """What the prompt calls the line on which `word` is a choice, e.g. "logic: sound or ..."."""
    for line in prompt.splitlines():
        name, colon, choices = line.partition(":")
        if colon and name.isalpha() and word in choices.replace(",", " ").split():
            return name.capitalize()
    return None


def _value(kind: dict[str, Any], words: Sequence[str]) -> str:
    return next((word for word in words if word in kind["enum"]), "") if "enum" in kind else REASON


@contextmanager
def serving_recorded(problems: Sequence[Recorded]) -> Iterator[RecordedServer]:
    """Teacher and compressor on loopback."""
    with serving_in_thread(
        ServerConfig(), make=lambda config: RecordedServer(config, problems)
    ) as server:
        yield cast(RecordedServer, server)


def save_reader(folder: Path) -> Path:
    """A tiny random Qwen2 that reads whole chains, with a tokenizer that learnt words: a student
    for mechanics; what it finds helpful means nothing."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    save_qwen2_tokenizer(folder)
    vocabulary = json.loads((folder / "tokenizer.json").read_bytes())
    size = len(vocabulary["model"]["vocab"]) + len(vocabulary["added_tokens"])
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True, initializer_range=0.1,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder
