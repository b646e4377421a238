"""Prompts: files, rendered into one user message, hashed into every row.

`<step>__<variant>.jinja` ship in this folder; a recipe may name a file of its own instead.
Invariants: a value never acts as template text, and a name the file needs but was not given is an
error (StrictUndefined). A prompt sees its values and nothing else: no other file, no chance. It is
identified by its bytes, wherever it lies. A published prompt is never edited: add `<variant>__v2`.

A sample: load_prompt("rewrite", "./prompts/shorter.jinja").key == "rewrite__shorter"
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from jinja2 import Template

from tasks.errors import UsageError
from tasks.ports import PermanentError, Prompt
from tasks.prompts.sandbox import PromptEnvironment, bounded_render, budget

FOLDER = Path(__file__).parent
SUFFIX = ".jinja"
DEFAULT = "default"  # the variant of a step that has no other
MAX_BYTES = 1_000_000  # of a file


class PromptError(UsageError):
    """A prompt cannot be used; one line naming it and the remedy."""


@cache
def environment() -> PromptEnvironment:
    """Of all prompts: one, so that a text is compiled once."""
    return PromptEnvironment()


@lru_cache(maxsize=256)
def compiled(text: str) -> Template:
    """Raises jinja2.TemplateSyntaxError."""
    with budget():
        return environment().from_string(text)


@dataclass(frozen=True, kw_only=True)
class PromptFile:
    """A prompt as it was read. `name`: a shipped variant, or a file's path as it was given."""

    step: str
    name: str
    text: str
    sha: str  # of the file's bytes, 16 hex characters

    @property
    def is_own(self) -> bool:
        return is_own(self.name)

    @property
    def twin(self) -> str | None:
        """The shipped variant with the same bytes: a copy of it is the same prompt."""
        same = (name for name in variants(self.step) if prompt_sha(self.step, name) == self.sha)
        return next(same, None) if self.is_own else self.name

    @property
    def key(self) -> str:
        """`<step>__<variant>`; of an own file its stem, with the hash where ours has that name."""
        if self.twin:
            return f"{self.step}__{self.twin}"
        stem = f"{self.step}__{Path(self.name).stem}"
        return f"{stem}@{self.sha}" if (FOLDER / f"{stem}{SUFFIX}").is_file() else stem

    @property
    def label(self) -> str:
        """How a stored recipe names it: no path, the same however it was spelt."""
        real = Path(self.name).expanduser().resolve().name
        return self.twin or f"{real}@sha256:{self.sha}"

    def render(self, **values: str) -> str:
        """The user message. Raises UndefinedError when a value is missing, PromptLimitError."""
        return bounded_render(compiled(self.text), **values)


def is_own(name: str) -> bool:
    """Whether it names a file rather than a variant that ships."""
    return name.endswith(SUFFIX) or "/" in name


def load_prompt(step: str, name: str) -> PromptFile:
    """The prompt of that name. Raises PromptError: it is not there, or no UTF-8."""
    return _read(step, name, Path(name).expanduser()) if is_own(name) else _shipped(step, name)


@cache
def _shipped(step: str, variant: str) -> PromptFile:
    return _read(step, variant, prompt_file(step, variant))


def _read(step: str, name: str, path: Path) -> PromptFile:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise PromptError(f"{name}: larger than {MAX_BYTES:,} bytes: a prompt is one message")
        text = content.decode("utf-8-sig")  # an editor's byte order mark is no part of a message
    except OSError as error:
        raise PromptError(
            f"cannot read {name}: {error.strerror}; `litecot prompts show {step} VARIANT > FILE` "
            "makes one to start from"
        ) from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise PromptError(f"{name}:{line}: not UTF-8: save the file as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return PromptFile(step=step, name=name, text=text, sha=hashlib.sha256(content).hexdigest()[:16])


def variants(step: str) -> tuple[str, ...]:
    """The variants that ship, in order."""
    return tuple(sorted(p.stem.partition("__")[2] for p in FOLDER.glob(f"{step}__*{SUFFIX}")))


def steps() -> tuple[str, ...]:
    """The steps that prompts ship for, in order."""
    return tuple(sorted({path.stem.partition("__")[0] for path in FOLDER.glob(f"*__*{SUFFIX}")}))


def prompt_file(step: str, variant: str) -> Path:
    """The file of a shipped prompt; PromptError names the variants there are."""
    path = FOLDER / f"{step}__{variant}{SUFFIX}"
    if not path.is_file():
        known = ", ".join(variants(step))
        raise PromptError(
            f"no prompt {variant!r} for step {step!r}; there are: {known}; a file of your own is "
            f"written './NAME' or ends in {SUFFIX}"
        )
    return path


def prompt_sha(step: str, name: str) -> str:
    """Hash of the prompt file's bytes, 16 hex characters."""
    return load_prompt(step, name).sha


def prompt_named(step: str, *, named: str | None, beside: str, default: str) -> str:
    """The prompt of a step: as its own setting says, else as the stage's `prompt` (`beside`) where
    that is a variant that ships for this step too, else the stage's default."""
    if named is not None:
        return named
    return beside if beside in variants(step) else default


def render(step: str, variant: str, **values: str) -> str:
    """The user message of `step` in `variant`; UndefinedError when a value is missing."""
    return load_prompt(step, variant).render(**values)


class PromptFiles:
    """The PromptBook of a stage: the `files` it was planned with, by step, else one variant."""

    def __init__(self, variant: str, files: Mapping[str, PromptFile] | None = None) -> None:
        self.variant = variant
        self.files = files or {}

    def render(self, step: str, *, compress: bool = False, **values: str) -> Prompt:
        """Render and carry the prompt's hash along.

        Raises PermanentError: with these values it fails every time.
        """
        file = self.files.get(step) or load_prompt(step, self.variant)
        try:
            text = file.render(**values)
        except MemoryError:  # the machine's, not the record's
            raise
        except Exception as error:
            words = f"{file.key}: {type(error).__name__}: {error}"
            raise PermanentError("prompt_failed", " ".join(words.split())) from error
        return Prompt(text=text, sha=file.sha, compress=compress)
