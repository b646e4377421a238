"""How a student is used: where `<compress>` stands in its prompt, and Python that asks it.

Invariant: what is told is computed from the folder's own tokenizer: the prompt as its chat template
renders it, and the token `<compress>` is, if it is one.

A sample: usage_of(folder).compressed ==
    "<|im_start|>user\\n<compress>{question}<|im_end|>\\n<|im_start|>assistant\\n"
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.engines.chat import COMPRESS, load_tokenizer

QUESTION = "{question}"  # stands for one where a prompt is shown
QUESTION_OF_OURS = "What is 3 + 4?"
NEW_TOKENS = 2048


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Of one tokenizer. `token_id`: of `<compress>`; None where it is plain text."""

    plain: str  # the prompt, with QUESTION in it
    compressed: str
    token_id: int | None
    num_tokens: int  # of `<compress>`
    is_chat: bool
    end: str  # what ends an answer


def usage_of(folder: Path) -> Usage:
    """Raises OSError, ValueError where the folder has no tokenizer."""
    tokenizer = _tokenizer(folder)
    ids = tokenizer(COMPRESS, add_special_tokens=False)["input_ids"]
    is_token = len(ids) == 1 and COMPRESS in tokenizer.get_added_vocab()
    return Usage(
        plain=_prompt(tokenizer, QUESTION),
        compressed=_prompt(tokenizer, COMPRESS + QUESTION),
        token_id=ids[0] if is_token else None,
        num_tokens=len(ids),
        is_chat=bool(tokenizer.chat_template),
        end=tokenizer.eos_token or "",
    )


def _tokenizer(folder: Path) -> Any:
    """What is asked here is in the folder's files, whatever the tokenizer's class; to look for that
    transformers imports its models and torch, four seconds of a run that has no use for them."""
    if not (folder / "tokenizer.json").is_file():
        return load_tokenizer(str(folder))
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)


def _prompt(tokenizer: Any, content: str) -> str:
    if not tokenizer.chat_template:
        return f"{tokenizer.bos_token or ''}{content}\n"
    messages = [{"role": "user", "content": content}]
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text


def is_chat(folder: Path) -> bool:
    """Whether the tokenizer has a chat template; loads nothing."""
    if (folder / "chat_template.jinja").is_file():
        return True
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    return bool(settings.get("chat_template"))


def python_lines(folder: Path | str, question: str = QUESTION_OF_OURS, *, chat: bool) -> list[str]:
    """Three lines that ask the student and print what it answers; names are Python's literals."""
    content = COMPRESS + question
    asked = [{"role": "user", "content": content}] if chat else f"{content}\n"
    options = f"max_new_tokens={NEW_TOKENS}, return_full_text=False"
    return [
        "from transformers import pipeline",
        f'student = pipeline("text-generation", {str(folder)!r}, {options})',
        f'print(student({asked!r})[0]["generated_text"])',
    ]
