"""Train the nano teacher and the nano student base from scratch on a CPU: `make nano`.

Role: draw lessons on the fly, train Qwen2 models of under a million parameters, save them with
their tokenizer. Invariant: what lies in `weights/` is always a whole checkpoint (written beside,
renamed). Progress is the larger of tokens seen over the token budget and minutes passed over the
time budget, so a slow machine still finishes its schedule.

A sample log line: {"model": "teacher", "progress": 0.25, "tokens": 2500000, "loss": 0.08, ...}
"""

import argparse
import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from infra.nano import lessons, world
from infra.nano.tokenizer import COMPRESS, END_OF_TEXT, IM_END, IM_START, train_tokenizer

FOLDER = Path(__file__).parent
WEIGHTS = FOLDER / "weights"
CHAIN_WEIGHT = 0.3  # of a token of a chain inside a prompt, against 1 for a token of the reply
WORD_WEIGHT = 10.0  # of a reply that is one word, or it would hardly count beside the chains
MAX_STEPS_FROM = 2
CURRICULUM = 0.15  # the share of the training after which problems of all lengths are drawn
POOL_LESSONS = 512


@dataclass(frozen=True)
class Course:
    """Everything that makes one model."""

    name: str
    draw: Callable[[random.Random, world.Problem], lessons.Lesson]
    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    learning_rate: float = 2e-3
    batch_tokens: int = 4096
    num_tokens: int = 10_000_000
    minutes: float = 45.0


COURSES = {
    "teacher": Course("teacher", lessons.teacher_lesson, 4, 128, 4, 2, 384),
    "student": Course(
        "student", lessons.student_lesson, 3, 96, 3, 3, 256, num_tokens=5_000_000, minutes=20.0
    ),
}

Example = tuple[list[int], list[float]]


def build_model(course: Course, tokenizer: Qwen2Tokenizer) -> Qwen2ForCausalLM:
    """An untrained Qwen2 of the course's size."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=course.width,
        num_hidden_layers=course.layers,
        num_attention_heads=course.heads,
        num_key_value_heads=course.kv_heads,
        intermediate_size=course.feed_forward,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config)  # type: ignore[no-untyped-call]


class Encoder:
    """Lessons as token ids and loss weights."""

    def __init__(self, tokenizer: Qwen2Tokenizer) -> None:
        self._bpe = tokenizer.backend_tokenizer
        self.pad = self._ids(END_OF_TEXT)[0]
        self._end = self._ids(IM_END)
        self._user = self._ids(f"{IM_START}user\n")
        self._turn = self._ids(f"{IM_END}\n{IM_START}assistant\n")
        self._compress = self._ids(COMPRESS)

    def _ids(self, text: str) -> list[int]:
        return list(self._bpe.encode(text, add_special_tokens=False).ids)

    def encode(self, lesson: lessons.Lesson) -> Example:
        """The chat of a lesson; the question and the markup weigh nothing."""
        head = self._user + (self._compress if lesson.compress else []) + self._ids(lesson.question)
        rest = self._ids(lesson.user.removeprefix(lesson.question))
        reply = self._ids(lesson.reply) + self._end
        spans = (
            (head, 0.0),
            (rest, CHAIN_WEIGHT * lesson.chain_is_right),
            (self._turn, 0.0),
            (reply, WORD_WEIGHT if len(reply) == 2 else 1.0),
        )
        ids = [token for span, _ in spans for token in span]
        return ids, [weight for span, weight in spans for _ in span]


def draw_batches(
    course: Course, encoder: Encoder, rng: random.Random, max_steps: int
) -> Iterator[list[Example]]:
    """One pool of lessons, cut into batches of similar length, in random order."""
    pool = []
    for _ in range(POOL_LESSONS):
        problem = world.draw_problem(
            rng, rng.choice(world.FAMILIES), rng.randrange(1, max_steps + 1)
        )
        pool.append(encoder.encode(course.draw(rng, problem)))
    pool.sort(key=lambda example: len(example[0]))
    batches: list[list[Example]] = [[]]
    for example in pool:
        if (len(batches[-1]) + 1) * len(example[0]) > course.batch_tokens:
            batches.append([])
        batches[-1].append(example)
    rng.shuffle(batches)
    yield from batches


def collate(batch: list[Example], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and loss weights, padded on the right: both [examples, tokens]."""
    length = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in batch])
    weights = torch.tensor([weights + [0.0] * (length - len(weights)) for _, weights in batch])
    return ids, weights


def weighted_loss(model: Qwen2ForCausalLM, ids: Tensor, weights: Tensor) -> Tensor:
    """Mean cross-entropy over the weighted tokens; only their positions reach the vocabulary."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    wanted = weights[:, 1:] > 0
    logits = model.lm_head(hidden[wanted])
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][wanted], reduction="none")
    return (losses * weights[:, 1:][wanted]).sum() / weights.sum()


def rate_at(progress: float) -> float:
    """Warm-up over 1%, then cosine to 2% of the peak."""
    if progress < 0.01:
        return 0.05 + 95 * progress
    return 0.02 + 0.49 * (1 + math.cos(math.pi * progress))


def build_optimizers(model: Qwen2ForCausalLM, course: Course) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    known = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in known]
    return [
        torch.optim.Muon(
            matrices,
            lr=course.learning_rate,
            weight_decay=0.01,
            adjust_lr_fn="match_rms_adamw",
            momentum=0.95,
        ),
        torch.optim.AdamW(rest, lr=course.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def save(model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Write a checkpoint beside `folder`, then put it in its place."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
    )
    model.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    old = folder.with_name(folder.name + ".old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


@dataclass
class Report:
    """What the training of one model took, as it goes into the metrics."""

    model: str
    parameters: int
    progress: float = 0.0
    tokens: int = 0
    steps: int = 0
    loss: float = 0.0
    minutes: float = 0.0


def train_model(course: Course, tokenizer: Qwen2Tokenizer, folder: Path) -> Report:
    """Train one model to the end of its budget, with a checkpoint about every two minutes."""
    torch.manual_seed(0)
    rng, encoder, model = random.Random(0), Encoder(tokenizer), build_model(course, tokenizer)
    optimizers = build_optimizers(model, course)
    report = Report(course.name, model.num_parameters())
    started = saved = time.monotonic()
    while report.progress < 1.0:
        span = world.MAX_STEPS - MAX_STEPS_FROM
        max_steps = min(world.MAX_STEPS, MAX_STEPS_FROM + int(span * report.progress / CURRICULUM))
        losses = []
        for batch in draw_batches(course, encoder, rng, max_steps):
            losses.append(
                train_step(model, optimizers, collate(batch, encoder.pad), course, report.progress)
            )
            report.tokens += sum(len(ids) for ids, _ in batch)
            report.steps += 1
            report.minutes = (time.monotonic() - started) / 60
            report.progress = min(
                1.0, max(report.tokens / course.num_tokens, report.minutes / course.minutes)
            )
        report.loss = sum(losses) / len(losses)
        print(json.dumps({**asdict(report), "max_steps": max_steps}), flush=True)
        if time.monotonic() - saved > 120 or report.progress >= 1.0:
            save(model, tokenizer, folder)
            saved = time.monotonic()
    return report


def train_step(
    model: Qwen2ForCausalLM,
    optimizers: list[torch.optim.Optimizer],
    batch: tuple[Tensor, Tensor],
    course: Course,
    progress: float,
) -> float:
    """One update in bfloat16 autocast; returns the loss."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = course.learning_rate * rate_at(progress)
    with torch.autocast("cpu", torch.bfloat16):
        loss = weighted_loss(model, *batch)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def main() -> None:
    """Train both models, or the one named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("models", nargs="*", default=list(COURSES), choices=[*COURSES])
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    arguments.weights.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer()
    for name in arguments.models:
        report = train_model(COURSES[name], tokenizer, arguments.weights / name)
        (arguments.weights / name / "training.json").write_text(
            json.dumps(asdict(report), indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
