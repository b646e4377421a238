"""The tokenizer of teacher and student: byte-level BPE over the nano world, Qwen2's chat markup.

Role: train it. Invariants: every piece of a nano text (`chains.count_pieces`) is one token; a
step's key `1)` is one token that differs from the digit ` 1`; any text in Unicode's NFC form
round-trips, without an unknown token; no token spans a newline, so a text encodes the same by
itself and in a chat.

A sample: "1) 3 + 4 = 7" -> ["1)", " 3", " +", " 4", " =", " 7"]
"""

import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

from infra.nano import chains, lessons, world

IM_START, IM_END, END_OF_TEXT, COMPRESS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<compress>",
)
SPECIALS = [END_OF_TEXT, IM_START, IM_END, COMPRESS]
MAX_VOCABULARY = 2000
_PIECES = r"\d|\n| ?\p{L}+| ?[^\s\p{L}\d]|[^\S\n]+"

CHAT_TEMPLATE = (
    "{%- set ns = namespace(last=-1) %}"
    "{%- for message in messages if message.role == 'user' %}"
    "{% set ns.last = ns.last + 1 %}{% endfor %}"
    "{%- set seen = namespace(users=-1) %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'user' %}{% set seen.users = seen.users + 1 %}{% endif %}"
    "{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if compress and message.role == 'user' and seen.users == ns.last %}"
    "{{- '<compress>' }}{% endif %}"
    "{{- message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"
)


def vocabulary(num_problems: int = 3000) -> list[str]:
    """Every piece of the nano world once, sorted: how often it is said changes no token."""
    rng, pieces = random.Random(0), {"user", "assistant", "system"}
    for _ in range(num_problems):
        num_steps = rng.randrange(1, world.MAX_STEPS + 1)
        problem = world.draw_problem(rng, rng.choice(world.FAMILIES), num_steps)
        for lesson in (lessons.teacher_lesson(rng, problem), lessons.student_lesson(rng, problem)):
            pieces.update(chains.split_pieces(f"{lesson.user}\n{lesson.reply}"))
    return sorted(pieces)


def train_tokenizer() -> Qwen2Tokenizer:
    """Learn the vocabulary; the same on every machine.

    AutoTokenizer gives every Qwen2 model Qwen2's own pre-tokenizer and NFC normalizer, whatever
    `tokenizer.json` says, and that takes each digit alone. So the keys and the digits with their
    space are added tokens, which are found before any pre-tokenizer runs.
    """
    bpe = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_VOCABULARY,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(vocabulary(), trainer)
    learned = json.loads(bpe.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],  # type: ignore[misc]
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=[IM_START, COMPRESS],
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
    )
    whole = [text for digit in range(10) for text in (f"{digit})", f" {digit}")]
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in whole])
    return tokenizer
