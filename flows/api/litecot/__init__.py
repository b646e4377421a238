"""What plug-ins and notebooks import: `from litecot import Stage` (docs/extending.md).

Invariant: importing this loads no prefect, ray, torch or vllm, and takes no name from you: a
`tasks.py` or a folder `sql` beside your script stays yours (litecot/_names.py).
"""

from litecot._names import claim_names

claim_names()

from tasks.answers.kinds import AnswerType  # noqa: E402
from tasks.answers.stated import Statement  # noqa: E402
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
from tasks.schemas import Difficulty, Evaluation, Rationale, Rejection, Row  # noqa: E402
from tasks.stage import Record, Stage, StageConfig, derive_seed, usage_of  # noqa: E402
from tasks.verify import grade_completion  # noqa: E402

__all__ = [
    "AnswerType",
    "Completion",
    "CompressionMethod",
    "CompressionRule",
    "CostBook",
    "Difficulty",
    "Evaluation",
    "Expectation",
    "ExpectedUsage",
    "Grade",
    "LitecotError",
    "Outcome",
    "PermanentError",
    "Ports",
    "Prompt",
    "Rationale",
    "Record",
    "Rejection",
    "Row",
    "Sampling",
    "ScoreRequest",
    "Stage",
    "StageConfig",
    "Statement",
    "TokenScores",
    "TransientError",
    "UsageError",
    "derive_seed",
    "grade_completion",
    "usage_of",
]
