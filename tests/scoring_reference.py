"""METHODS section 4 written down a second time: slowly, with nothing of ours in it.

Role: what the scorers must equal. One text after another goes alone through a float64 model; every
distribution is a softmax over the whole vocabulary in plain Python; texts are tokenised by the
tokenizer itself, prompts by its chat template. (transformers keeps its norms in float32, and eager
attention too, so it is not eager.)

A sample: `SlowScorer(folder).row("2 + 2?", "4", "two and two\\nare four")["rd"]`
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = "{question}\nPlease reason step by step, and put your final answer within \\boxed{{}}."
ANSWER = "The answer is {answer}."


class SlowScorer:
    """One model in float64."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float64, attn_implementation="sdpa"
        ).eval()

    def tokens(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def chat(self, question: str) -> list[int]:
        """The conversation up to the assistant's turn."""
        message = {"role": "user", "content": PROMPT.format(question=question)}
        text = self.tokenizer.apply_chat_template(
            [message], tokenize=False, add_generation_prompt=True
        )
        return self.tokens(text)

    def read(self, given: list[int], wanted: list[int]) -> tuple[list[float], list[int]]:
        """Log-probability and rank of each wanted token behind those before it."""
        ids = given + wanted
        with torch.no_grad():
            logits = self.model(torch.tensor([ids])).logits[0].tolist()
        logprobs, ranks = [], []
        for position, token in enumerate(wanted, start=len(given)):
            row = logits[position - 1]
            highest = max(row)
            total = math.fsum(math.exp(logit - highest) for logit in row)
            logprobs.append(row[token] - highest - math.log(total))
            ranks.append(1 + sum(1 for logit in row if logit > row[token]))
        return logprobs, ranks

    def row(
        self, question: str, answer: str, rationale: str, *, rank_clip: int = 100, window: int = 2
    ) -> dict[str, float | None]:
        """The columns of a Score."""
        chat, header = self.chat(question), self.tokens("<|im_start|>assistant\n")
        r, a = self.tokens(rationale), self.tokens(ANSWER.format(answer=answer))
        between = self.tokens("\n") if rationale else []
        given, ranks = self.read(chat, r)
        alone, _ = self.read(header, r)
        answer_given, _ = self.read(chat + r + between, a)
        answer_alone, _ = self.read(chat, a)
        surprise = -sum(given)
        return {
            "num_tokens": len(r),
            "num_answer_tokens": len(a),
            "ppl_rationale": math.exp(surprise / len(r)) if r else 1.0,
            "ppl_answer": math.exp(-sum(answer_alone) / len(a)),
            "ppl_answer_given_rationale": math.exp(-sum(answer_given) / len(a)),
            "rd": math.exp(-sum(answer_given) / len(a)) / math.exp(-sum(answer_alone) / len(a)),
            "rd_difference": (sum(answer_alone) - sum(answer_given)) / len(a),
            "ifd": (surprise / len(r)) / (-sum(alone) / len(r)) if r else None,
            "grape": sum(given) / len(r) if r else None,
            "rsr": sum(min(rank, rank_clip) for rank in ranks) / surprise if r else None,
            "naturalness": self.naturalness(header, rationale, window),
        }

    def naturalness(self, header: list[int], rationale: str, window: int) -> float | None:
        """A step is a line that says something, with the line breaks behind it."""
        steps: list[str] = []
        for line in rationale.split("\n"):
            if line.strip():
                steps.append(line)
            elif steps:
                steps[-1] += "\n" + line
        steps = [step + "\n" for step in steps[:-1]] + steps[-1:]
        means = []
        for number, step in enumerate(steps):
            before = list(header)
            for earlier in steps[max(0, number - window) : number]:
                before += self.tokens(earlier)
            logprobs, _ = self.read(before, self.tokens(step))
            means.append(sum(logprobs) / len(logprobs))
        return sum(means) / len(means) if means else None
