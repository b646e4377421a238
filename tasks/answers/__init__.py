"""The verifier: the last stated answer of a text against the gold one.

Answer types: math | integer | choice | yes_no | date | text, and those of plug-ins
(tasks/answers/kinds.py). Verdicts: `tasks.ports.Verdict`.
"""

from tasks.answers.inference import infer_answer_type
from tasks.answers.verdict import gold_answer, grade

__all__ = ["gold_answer", "grade", "infer_answer_type"]
