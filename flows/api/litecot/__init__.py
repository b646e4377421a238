"""What plug-ins and notebooks import: `from litecot import Stage` (docs/extending.md).

Invariant: importing this loads no prefect, ray, torch or vllm, and takes no name from you: a
`tasks.py` or a folder `sql` beside your script stays yours (litecot/_names.py). A corpus is opened
by `litecot.open` (docs/notebooks.md), which is not in `__all__`: `import *` leaves Python's `open`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from litecot._names import claim_names

claim_names()

from infra.engines.config import EngineConfig  # noqa: E402
from infra.engines.engine import Engine, EngineInfo, ServedModel  # noqa: E402
from infra.engines.engine_type import EngineType, ModelSize, Needs, SleepMode  # noqa: E402
from infra.engines.errors import EngineBrokenError  # noqa: E402
from infra.engines.model_files import ModelFilesError, check_checkpoint  # noqa: E402
from tasks.answers.kinds import AnswerType  # noqa: E402
from tasks.answers.statement import Statement  # noqa: E402
from tasks.answers.symbolic import UnreadableGoldError  # noqa: E402
from tasks.compress_methods import CompressionMethod, CompressionRule, Outcome  # noqa: E402
from tasks.costs import CostBook, Expectation, ExpectedUsage  # noqa: E402
from tasks.errors import LitecotError, UsageError  # noqa: E402
from tasks.ports import (  # noqa: E402
    Completion,
    Grade,
    PermanentError,
    Ports,
    Prompt,
    Sampling,
    ScoreRequest,
    TokenScores,
    TransientError,
)
from tasks.prompts.values import PromptValue, StepPrompt  # noqa: E402
from tasks.schemas import Difficulty, Evaluation, Rationale, Rejection, Row  # noqa: E402
from tasks.scorers.scorer import Scored, Scorer, ScoreSettings, Texts, mean_nll  # noqa: E402
from tasks.stage import Record, Stage, StageConfig, derive_seed, usage_of  # noqa: E402
from tasks.verify import grade_completion  # noqa: E402

if TYPE_CHECKING:
    from litecot._corpus import OpenCorpus


def open(location: str | Path = "corpus", *, run: str | None = None) -> "OpenCorpus":
    """A corpus, a folder or s3://bucket/path, for reading; `run` is an id or its start, by default
    the latest. Raises CorpusError, UnknownRunError."""
    from litecot._corpus import OpenCorpus

    return OpenCorpus(location, run=run)


__all__ = [  # noqa: RUF022 - by what they are for, as docs/extending.md has them
    # scorers
    "ScoreRequest",
    "ScoreSettings",
    "Scored",
    "Scorer",
    "Texts",
    "TokenScores",
    "mean_nll",
    # compression methods
    "CompressionMethod",
    "CompressionRule",
    "Outcome",
    # answer types
    "AnswerType",
    "Statement",
    "UnreadableGoldError",
    # stages
    "Record",
    "Stage",
    "StageConfig",
    "derive_seed",
    "grade_completion",
    "usage_of",
    # what a stage asks
    "Completion",
    "Grade",
    "Ports",
    "Prompt",
    "Sampling",
    # what a stage writes
    "Difficulty",
    "Evaluation",
    "Rationale",
    "Rejection",
    "Row",
    # prompts
    "PromptValue",
    "StepPrompt",
    # costs
    "CostBook",
    "Expectation",
    "ExpectedUsage",
    # engines
    "Engine",
    "EngineConfig",
    "EngineInfo",
    "EngineType",
    "ServedModel",
    # what an engine needs
    "ModelSize",
    "Needs",
    "SleepMode",
    "check_checkpoint",
    # errors of a request
    "EngineBrokenError",
    "PermanentError",
    "TransientError",
    # errors for a person
    "LitecotError",
    "ModelFilesError",
    "UsageError",
]
