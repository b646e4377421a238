"""Prompt files: `<step>__<variant>.jinja`, rendered into one user message, hashed into every row.

Invariant: a value never acts as template text, and a name the file needs but was not given is an
error (StrictUndefined). A published prompt is never edited: add `<variant>__v2`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tasks.ports import Prompt

FOLDER = Path(__file__).parent


@cache
def _environment() -> Environment:
    return Environment(  # plain text, not HTML: nothing to escape
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


@cache
def _template(step: str, variant: str) -> Template:
    return _environment().get_template(prompt_file(step, variant).name)


def prompt_file(step: str, variant: str) -> Path:
    """The file of a prompt; ValueError names the variants there are."""
    path = FOLDER / f"{step}__{variant}.jinja"
    if not path.is_file():
        known = sorted(p.stem.partition("__")[2] for p in FOLDER.glob(f"{step}__*.jinja"))
        raise ValueError(f"no prompt {variant!r} for step {step!r}; there are: {', '.join(known)}")
    return path


@cache
def prompt_sha(step: str, variant: str) -> str:
    """Hash of the prompt file's bytes, 16 hex characters."""
    return hashlib.sha256(prompt_file(step, variant).read_bytes()).hexdigest()[:16]


def render(step: str, variant: str, **values: str) -> str:
    """The user message of `step` in `variant`; UndefinedError when a value is missing."""
    return _template(step, variant).render(**values)


class PromptFiles:
    """The PromptBook of one variant."""

    def __init__(self, variant: str) -> None:
        self.variant = variant

    def render(self, step: str, *, compress: bool = False, **values: str) -> Prompt:
        """Render and carry the prompt's hash along."""
        text = render(step, self.variant, **values)
        return Prompt(text=text, sha=prompt_sha(step, self.variant), compress=compress)
