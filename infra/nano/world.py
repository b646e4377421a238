"""A small world of verifiable word problems: the data of the embedded nano models.

Role: draw problems of three families (a dial's mark, a weekday, a dial check) with 1 to 8
numbered steps, and say which of them are held out. Invariant: the answer follows from the question
by modular arithmetic alone, and a *body* (start and steps, whatever the wording) is either held out
or never, so no phrasing of a held-out problem is seen in training.

A sample row: {"source": "nano", "question": "Today is Monday.\\n1) later 3\\nWhich day is it
then?", "answer": "Thursday", "answer_type": "text", "subject": "weekday"}
"""

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Family = Literal["dial", "weekday", "dial_check"]
Level = Literal["easy", "medium", "hard"]

FAMILIES: tuple[Family, ...] = ("dial", "weekday", "dial_check")
LEVELS: tuple[Level, ...] = ("easy", "medium", "hard")
LEVEL_STEPS: dict[Level, tuple[int, ...]] = {"easy": (1, 2), "medium": (3, 4, 5), "hard": (6, 7, 8)}
MAX_STEPS = 8
DIAL = tuple(str(mark) for mark in range(10))
WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HELD_OUT_ONE_IN = 10

_OPENINGS = {
    "dial": (
        "A dial has marks 0 to 9. It starts at {}.",
        "The hand of a dial with marks 0 to 9 is at {}.",
    ),
    "weekday": ("Today is {}.", "The calendar shows {}."),
}
_WORDS = {"dial": ("left", "right"), "weekday": ("back", "later")}
_ANSWER_TYPES: dict[Family, str] = {"dial": "integer", "weekday": "text", "dial_check": "yes_no"}


@dataclass(frozen=True)
class Move:
    """One numbered step: `amount` places forwards or backwards."""

    forward: bool
    amount: int


@dataclass(frozen=True)
class Problem:
    """A problem as numbers; `asked` is the mark of a dial check."""

    family: Family
    start: int
    moves: tuple[Move, ...]
    opening: int = 0
    asked: int | None = None

    @property
    def kind(self) -> str:
        """The world behind the family: a dial check is a dial with another question."""
        return "weekday" if self.family == "weekday" else "dial"

    @property
    def names(self) -> tuple[str, ...]:
        """The values of this world, in cyclic order."""
        return WEEK if self.family == "weekday" else DIAL

    @property
    def states(self) -> tuple[int, ...]:
        """The start and the place after each move."""
        places = [self.start]
        for move in self.moves:
            places.append(
                (places[-1] + (move.amount if move.forward else -move.amount)) % len(self.names)
            )
        return tuple(places)

    @property
    def level(self) -> Level:
        """How hard it is by construction. Never shipped: the pipeline grades difficulty itself."""
        return next(level for level in LEVELS if len(self.moves) in LEVEL_STEPS[level])

    @property
    def answer(self) -> str:
        """The gold answer, as the files state it."""
        if self.asked is None:
            return self.names[self.states[-1]]
        return "yes" if self.states[-1] == self.asked else "no"

    @property
    def question(self) -> str:
        """The wording a model sees."""
        lines = [_OPENINGS[self.kind][self.opening].format(self.names[self.start])]
        lines += [move_text(self, index) for index in range(len(self.moves))]
        return "\n".join([*lines, self._asking()])

    def _asking(self) -> str:
        if self.asked is not None:
            return f"Does it end at {self.asked}?"
        return "Which day is it then?" if self.family == "weekday" else "Where does it end?"

    @property
    def row(self) -> dict[str, str]:
        """The problem as a row of a problem file."""
        return {
            "source": "nano",
            "question": self.question,
            "answer": self.answer,
            "answer_type": _ANSWER_TYPES[self.family],
            "subject": self.family,
        }


def move_word(problem: Problem, move: Move) -> str:
    """`right` or `left`, `later` or `back`."""
    return _WORDS[problem.kind][move.forward]


def move_text(problem: Problem, index: int) -> str:
    """The numbered line of one step, such as `2) left 2`."""
    move = problem.moves[index]
    return f"{index + 1}) {move_word(problem, move)} {move.amount}"


def is_held_out(problem: Problem) -> bool:
    """Whether this body belongs to evaluation: by its hash, so the same on every machine."""
    body = " ".join(
        [problem.kind, str(problem.start), *(f"{m.forward:d}{m.amount}" for m in problem.moves)]
    )
    return (
        int.from_bytes(hashlib.blake2b(body.encode(), digest_size=4).digest()) % HELD_OUT_ONE_IN
        == 0
    )


def draw_any_problem(rng: random.Random, family: Family, num_steps: int) -> Problem:
    """A uniformly drawn problem, held out or not; a dial check is as often yes as no."""
    size = len(WEEK) if family == "weekday" else len(DIAL)
    moves = tuple(Move(rng.random() < 0.5, rng.randrange(1, size)) for _ in range(num_steps))
    problem = Problem(family, rng.randrange(size), moves, rng.randrange(2))
    if family != "dial_check":
        return problem
    end = problem.states[-1]
    asked = end if rng.random() < 0.5 else rng.choice([mark for mark in range(size) if mark != end])
    return Problem(family, problem.start, moves, problem.opening, asked)


def draw_problem(
    rng: random.Random, family: Family, num_steps: int, *, held_out: bool = False
) -> Problem:
    """A problem from one side of the split."""
    while True:
        problem = draw_any_problem(rng, family, num_steps)
        if is_held_out(problem) == held_out:
            return problem


def draw_distinct(
    rng: random.Random, count: int, *, steps: Sequence[int], held_out: bool
) -> list[Problem]:
    """`count` different problems, families and step counts in turn; a dry cell is passed over."""
    cells = [(family, num) for num in steps for family in FAMILIES]
    seen: dict[str, Problem] = {}
    turn = 0
    while len(seen) < count:
        family, num_steps = cells[turn % len(cells)]
        turn += 1
        fresh = _first_new(rng, family, num_steps, held_out=held_out, seen=seen)
        if fresh is not None:
            seen[fresh.question] = fresh
    problems = list(seen.values())
    rng.shuffle(problems)
    return problems


def _first_new(
    rng: random.Random, family: Family, num_steps: int, *, held_out: bool, seen: Iterable[str]
) -> Problem | None:
    for _ in range(40):
        problem = draw_problem(rng, family, num_steps, held_out=held_out)
        if problem.question not in seen:
            return problem
    return None


def shipped_problems(split: Literal["train", "eval"]) -> list[Problem]:
    """The problems of the file `problems/<split>.jsonl`, in its order."""
    rng, count = (random.Random(11), 400) if split == "train" else (random.Random(12), 200)
    return draw_distinct(rng, count, steps=range(1, MAX_STEPS + 1), held_out=split == "eval")


def main() -> None:
    """Write the shipped problem files."""
    folder = Path(__file__).parent / "problems"
    folder.mkdir(exist_ok=True)
    splits: tuple[Literal["train", "eval"], ...] = ("train", "eval")
    for split in splits:
        rows = [json.dumps(problem.row) + "\n" for problem in shipped_problems(split)]
        (folder / f"{split}.jsonl").write_text("".join(rows))


if __name__ == "__main__":
    main()
