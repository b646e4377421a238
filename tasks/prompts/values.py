"""What a step gives to its prompt: declared beside the step, once, for whoever writes a prompt.

Role: the checks of a recipe, `litecot prompts` and docs/recipes.md read it. Invariant: a step
renders its prompt with exactly these names (tests/unit/test_prompts_own.py runs the steps).

A sample: StepPrompt(step="generate", values=(QUESTION,))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True, kw_only=True)
class PromptValue:
    """A name in a prompt. `samples`: what it can be, as a check renders it; "" is false in an if.

    `is_text`: a text of the problem, on which the reply has to depend. `sure_if` (setting, value):
    it is given for sure only where the stage is set so; a prompt asks `{% if name is defined %}`.
    """

    name: str
    meaning: str
    samples: tuple[str, ...]
    is_text: bool = False
    sure_if: tuple[str, str] | None = None

    def is_sure(self, config: object) -> bool:
        """Whether a stage with these settings gives it every time."""
        return self.sure_if is None or getattr(config, self.sure_if[0]) == self.sure_if[1]


@dataclass(frozen=True, kw_only=True)
class StepPrompt:
    """A prompt that a stage renders: <step>__<variant>.jinja, or a file of one's own.

    `setting` of the stage's table names it; left out, it follows the stage's `prompt`.
    """

    step: str
    values: tuple[PromptValue, ...]
    setting: str = "prompt"

    def samples(self, config: object) -> Iterator[dict[str, str]]:
        """Every combination of values that the step may render with."""
        choices = [
            [*each.samples, *[None] * (not each.is_sure(config))]  # None: left out
            for each in self.values
        ]
        for chosen in product(*choices):
            pairs = zip(self.values, chosen, strict=True)
            yield {each.name: value for each, value in pairs if value is not None}


QUESTION = PromptValue(
    name="question", meaning="the problem's question", samples=("What is 2 + 3?",), is_text=True
)


def rationale(meaning: str) -> PromptValue:
    """The chain that is worked on."""
    return PromptValue(name="rationale", meaning=meaning, samples=("2 + 3 = 5.",), is_text=True)


def structured(setting: str) -> PromptValue:
    """Whether a JSON object is asked for."""
    return PromptValue(
        name="structured",
        meaning=f'"yes" where `{setting}` asks for a JSON object, else ""',
        samples=("", "yes"),
    )
