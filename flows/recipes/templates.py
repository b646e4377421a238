"""The prompts of a recipe: which there are, and all that is wrong with them before anything starts.

Invariant: a recipe whose prompts have no faults renders every one of them for every record.

A sample: prompt_faults(rewrite.STAGE, "rewrite", config) ==
["rewrite.prompt: ./mine.jinja:3: {{ solution }} is not given; this step gives question, ..."]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """What is odd about prompts without faults, and may be meant.

    A text of the problem that the model will not see; a variant of ours chosen for a step whose
    setting is left out, beside a prompt of the user's own.
    """
    files = _files(stage, config)
    for use, file in files:
        if getattr(config, use.setting) is None and any(other.twin is None for _, other in files):
            yield (
                f"{table}.{use.setting} is left out beside a prompt of your own: "
                f"the variant {file.name!r} is used"
            )
        for name in unused_texts(file, use):
            yield (
                f"{table}.{use.setting}: {file.name} has no {{{{ {name} }}}}: the model will not "
                "see it"
            )


def _files(stage: AnyStage, config: StageConfig) -> Sequence[tuple[StepPrompt, PromptFile]]:
    files = stage.load_prompts(config)
    return [(use, files[use.step]) for use in stage.prompts]
