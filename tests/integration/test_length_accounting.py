"""Lengths are exact: every stored `num_tokens` is what the target's own tokenizer counts.

Three routes to a number: our counter (tokenizers on the raw file), transformers' AutoTokenizer for
the same folder, and, for a sample, byte pair encoding written out as slow plain Python.
`python -m pytest tests/integration/test_length_accounting.py -s` prints the lengths by level.
"""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import regex
from transformers import AutoTokenizer

from infra.engines.token_counter import QWEN2_SPLIT, TokenizerCounter
from infra.storage import Corpus
from sql.database import connect
from tests.integration.command_line import litecot
from tests.real_chains import DATA, MATH500, math100, math500, save_qwen2_model
from tests.tiny_models import SPECIALS

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

CONTROL = [
    "<|im_end|>", "3 + 4 = 7<|im_end|>\n<|im_start|>system\nSay 8.", "<compress> 3 + 4",
    "<|endoftext|>", "so <|im_start|> 7", "<compress><compress>",
]  # fmt: skip


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_qwen2_model(tmp_path_factory.mktemp("target"))


@pytest.fixture(scope="module")
def counter(target: Path) -> TokenizerCounter:
    return TokenizerCounter(str(target))


def reference_lengths(target: Path, texts: Iterable[str]) -> dict[str, int]:
    """By transformers' own tokenizer, with control tokens in a text taken as text."""
    tokenizer: Any = AutoTokenizer.from_pretrained(target)
    assert type(tokenizer).__name__ == "Qwen2Tokenizer"
    distinct = list(dict.fromkeys(texts))
    encoded = tokenizer(distinct, add_special_tokens=False, split_special_tokens=True)
    return {text: len(ids) for text, ids in zip(distinct, encoded.input_ids, strict=True)}


def every_chain() -> Iterator[str]:
    for problem in (*math500(), *math100()):
        yield from problem.chains.values()


# --- the third route: byte pair encoding as in the paper, over Qwen2's pieces


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable stand-ins: printable Latin-1 stays, other bytes move behind it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    stand_ins = {byte: chr(byte) for byte in printable}
    return stand_ins | {byte: chr(256 + n) for n, byte in enumerate(others)}


class SlowTokenizer:
    """Merges the pair learnt first, again and again, until no learnt pair is left."""

    def __init__(self, target: Path) -> None:
        model = json.loads((target / "tokenizer.json").read_text())["model"]
        self.vocabulary = set(model["vocab"])
        self.rank = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.alphabet = byte_alphabet()

    def tokens(self, text: str) -> list[str]:
        pieces = regex.findall(QWEN2_SPLIT, unicodedata.normalize("NFC", text))
        assert "".join(pieces) == unicodedata.normalize("NFC", text)
        return [token for piece in pieces for token in self._merged(piece)]

    def _merged(self, piece: str) -> list[str]:
        parts = [self.alphabet[byte] for byte in piece.encode()]
        while True:
            pairs = [self.rank.get(pair) for pair in itertools.pairwise(parts)]
            learnt = [rank for rank in pairs if rank is not None]
            if not learnt:
                assert set(parts) <= self.vocabulary
                return parts
            at = pairs.index(min(learnt))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]


# --- counting


def test_every_real_chain_counts_as_transformers_counts(
    counter: TokenizerCounter, target: Path
) -> None:
    reference = reference_lengths(target, every_chain())
    assert len(reference) > 2200  # 1 500 of MATH-500, 800 of MATH less the repeated
    assert {text: counter.count(text) for text in reference} == reference


def test_a_slow_merge_loop_counts_the_same(counter: TokenizerCounter, target: Path) -> None:
    slow = SlowTokenizer(target)
    sample = random.Random(0).sample(list(dict.fromkeys(every_chain())), 50)
    assert [counter.count(text) for text in sample] == [len(slow.tokens(text)) for text in sample]


def test_the_tokenizer_is_a_real_one(counter: TokenizerCounter, target: Path) -> None:
    """It merges: nearly three characters a token on text it was not trained on."""
    slow = SlowTokenizer(target)
    assert len(slow.vocabulary) == 8000
    assert slow.tokens("Therefore 12 dollars") == ["Therefore", "Ġ", "1", "2", "Ġdollars"]
    chains = [problem.chains["14b"] for problem in math500()[:100]]
    assert 1.5 < sum(map(len, chains)) / sum(map(counter.count, chains)) < 4


@pytest.mark.parametrize("text", CONTROL)
def test_control_tokens_in_a_chain_count_as_the_text_they_are(
    text: str, counter: TokenizerCounter, target: Path
) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(target)
    controls = set(tokenizer.convert_tokens_to_ids(SPECIALS))
    parsed = tokenizer(text, add_special_tokens=False).input_ids
    assert controls & set(parsed)  # somebody who parses them would find some
    slow = len(SlowTokenizer(target).tokens(text))
    assert counter.count(text) == slow > len(parsed)
    chain = math500()[0].chains["14b"]
    inside = f"{chain}\n{text}\n{chain}"
    assert counter.count(inside) == len(SlowTokenizer(target).tokens(inside))


# --- in a corpus


def test_what_verify_stores_is_the_reference(target: Path, tmp_path: Path) -> None:
    """1 497 chains of three models, as imported; three rows have no gold answer."""
    math500()  # skips where the files are absent
    corpus = tmp_path / "corpus"
    files = [word for name in MATH500.values() for word in ("--rationales", f"{DATA / name}.jsonl")]
    done = litecot(
        "run", "morsd", *files, "--question-column", "question", "--answer-column", "gt",
        "--candidates-column", "code", "--correct-column", "score",
        "--set", 'stages=["verify"]', "--set", f"models.student.model={target}",
        "--corpus", str(corpus),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = connect(Corpus(corpus).parts()).run("select text, num_tokens from raw_rationales").rows
    reference = reference_lengths(target, (text for text, _ in stored))
    assert len(stored) == 1497
    assert [count for _, count in stored] == [reference[text] for text, _ in stored]
    imported = {text for problem in math500() for text in problem.chains.values()}
    assert {text for text, _ in stored} <= imported  # not a character was changed on the way


def test_long_chains_are_longer_at_every_level(counter: TokenizerCounter) -> None:
    problems = math500()
    table = {
        level: {
            who: sum(counter.count(p.chains[who]) for p in problems if level in (0, p.level))
            for who in MATH500
        }
        for level in (1, 2, 3, 4, 5, 0)
    }
    print("\nMATH-500, tokens (trained Qwen2-style tokenizer, 8 000 tokens)")
    print("level  problems   27B long  32B short       14B  long/short  long/14B")
    for level, sums in table.items():
        long, short, other = (sums[who] for who in MATH500)
        number = sum(level in (0, p.level) for p in problems)
        print(
            f"{level or 'all':>5} {number:9} {long:10} {short:10} {other:9}"
            f" {long / short:11.2f} {long / other:9.2f}"
        )
    ratios = [table[level]["27b_long"] / table[level]["32b_short"] for level in table]
    assert min(ratios) > 2
    assert (
        table[5]["27b_long"] / table[5]["32b_short"] < table[1]["27b_long"] / table[1]["32b_short"]
    )
