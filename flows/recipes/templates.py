"""The prompts of a recipe: which there are, and all that is wrong with them before anything starts.

Invariant: a recipe whose prompts have no faults renders every one of them for every record.

A sample: prompt_faults(rewrite.STAGE, "rewrite", config) ==
["rewrite.prompt: ./mine.jinja:3: {{ solution }} is not given; this step gives question, ..."]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tasks.prompts import PromptError, PromptFile, is_own, load_prompt
from tasks.prompts.checks import faults_of, unused_texts
from tasks.prompts.values import StepPrompt
from tasks.stage import Stage, StageConfig

AnyStage = Stage[Any, Any]


def prompt_faults(stage: AnyStage, table: str, config: StageConfig) -> list[str]:
    """One line each, with the setting that names the prompt."""
    faults = []
    for use in stage.prompts:
        try:
            file = load_prompt(use.step, stage.prompt_name(use.step, config))
        except PromptError as error:
            faults.append(f"{table}.{use.setting}: {error}")
        else:
            faults += [f"{table}.{use.setting}: {fault}" for fault in faults_of(file, use, config)]
    if not stage.prompts and is_own(config.prompt):
        faults.append(f"{table}.prompt: the stage {stage.name!r} asks no model: leave it out")
    return faults


def prompt_notes(stage: AnyStage, table: str, config: StageConfig) -> Iterator[str]:
    """What is odd about prompts without faults: a text of the problem that the model won't see."""
    for use, file in _files(stage, config):
        for name in unused_texts(file, use):
            yield (
                f"{table}.{use.setting}: {file.name} has no {{{{ {name} }}}}: the model will not "
                "see it"
            )


def _files(stage: AnyStage, config: StageConfig) -> Iterable[tuple[StepPrompt, PromptFile]]:
    files = stage.load_prompts(config)
    return [(use, files[use.step]) for use in stage.prompts]
