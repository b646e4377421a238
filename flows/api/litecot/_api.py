"""The names that plug-ins import from `litecot`, and where each is made (docs/extending.md)."""

from infra.engines.config import EngineConfig
from infra.engines.engine import Engine, EngineInfo, ServedModel
from infra.engines.engine_type import EngineType, ModelSize, Needs, SleepMode
from infra.engines.errors import EngineBrokenError
from infra.engines.model_files import ModelFilesError, check_checkpoint
from tasks.answers.kinds import AnswerType
from tasks.answers.statement import Statement
from tasks.answers.symbolic import UnreadableGoldError
from tasks.compress_methods import CompressionMethod, CompressionRule, Outcome
from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.errors import LitecotError, UsageError
from tasks.ports import (
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
from tasks.prompts.values import PromptValue, StepPrompt
from tasks.schemas import Difficulty, Evaluation, Rationale, Rejection, Row
from tasks.scorers.scorer import Scored, Scorer, ScoreSettings, Texts, mean_nll
from tasks.stage import Record, Stage, StageConfig, derive_seed, usage_of
from tasks.verify import grade_completion

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
