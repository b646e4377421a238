"""Every table of the corpus, declared once: a frozen dataclass a table, a described column a field.

Invariant: a row's id is a hash of what determines the row (its `identity` columns and the
fingerprint of the stage that made it), so making the same row twice gives the same id. The writer
(infra/storage) adds the id and the four stamp columns; a step never sees them.

A sample row of `rationales`, as stored:
    rationale_id=9f0c..., problem_id=41aa..., parent_id=None, kind="long", candidate=2, round=0,
    text="1) 3 + 4 = 7 ...", num_tokens=61, verdict="correct", run_id=..., stage_fingerprint=...
"""

from __future__ import annotations

import types
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Union, get_args, get_origin, get_type_hints

from tasks.rows import STAMP as STAMP
from tasks.rows import Row as Row
from tasks.rows import column as column
from tasks.rows import content_id as content_id

if TYPE_CHECKING:
    import pyarrow as pa


# Raised with every change of a table's columns (tests/unit/test_schema_version.py knows them).
# 1: columns came as time went by, so the parts of one table may have several layouts.
# 2: all parts of a table have the columns below; `litecot corpus migrate` makes it so.
SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Problem(Row):
    table: ClassVar[str] = "problems"
    key: ClassVar[str] = "problem_id"
    identity: ClassVar[tuple[str, ...]] = ("question", "answer", "answer_type")
    of_stage: ClassVar[bool] = False

    source: str = column("file or data set the problem came from")
    question: str = column("the question, as a person would read it")
    answer: str = column("gold answer")
    answer_type: str = column("math | integer | choice | yes_no | date | text")
    subject: str | None = column("topic, where the source names one", default=None)
    line: int | None = column("line or row number in the source, from 1", default=None)


@dataclass(frozen=True, kw_only=True)
class Membership(Row):
    """Which problems a run works on: a problem may belong to many runs."""

    table: ClassVar[str] = "memberships"
    key: ClassVar[str] = "membership_id"
    identity: ClassVar[tuple[str, ...]] = ("member_of", "problem_id", "split")
    of_stage: ClassVar[bool] = False

    member_of: str = column("run_id the problem belongs to")
    problem_id: str = column("the problem")
    split: str = column("train | eval")
    shard: int = column("shard number, from 0")
    position: int = column("number in the run's order, from 0")
    benchmark: str | None = column("of split eval: the set it was read from", default=None)
    family: str | None = column(
        "what questions that are not independent of it share, in that set", default=None
    )


@dataclass(frozen=True, kw_only=True)
class Candidate(Row):
    """An imported rationale, before it was verified. Its stage is the set of input files."""

    table: ClassVar[str] = "candidates"
    key: ClassVar[str] = "candidate_id"
    identity: ClassVar[tuple[str, ...]] = ("problem_id", "candidate", "text")

    problem_id: str = column("the problem it answers")
    candidate: int = column("number among the problem's candidates, from 0")
    text: str = column("the rationale, as imported")
    model: str | None = column("who wrote it, where the source says so", default=None)
    recorded_correct: bool | None = column("the source's own grading, if any", default=None)
    finish_reason: str | None = column(
        "length, content_filter or the source's own word, where it says that the text was cut off",
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one or more requests cost; mixed into every generated row."""

    num_requests: int = column("model requests paid for this row", default=0)
    prompt_tokens: int = column("tokens sent, summed over the requests", default=0)
    completion_tokens: int = column("tokens generated, summed over the requests", default=0)
    latency_s: float = column("seconds waited for the model, summed over the requests", default=0.0)


@dataclass(frozen=True, kw_only=True)
class Rationale(Usage, Row):
    table: ClassVar[str] = "rationales"
    key: ClassVar[str] = "rationale_id"
    identity: ClassVar[tuple[str, ...]] = (
        "problem_id", "parent_id", "candidate_id", "kind", "candidate", "round",
    )  # fmt: skip

    problem_id: str = column("the problem it answers")
    parent_id: str | None = column("the rationale it was made from", default=None)
    candidate_id: str | None = column(
        "the imported candidate it is, if it was imported", default=None
    )
    kind: str = column("long | rewritten | compressed")
    candidate: int = column("number among the samples of one prompt, from 0", default=0)
    round: int = column("compression round, from 1; 0 where it was not compressed", default=0)
    level: str | None = column("easy | medium | hard, for rewrites", default=None)
    model: str = column("model that wrote it")
    engine: str = column("engine that hosted the model")
    text: str = column("the chain of thought, answer included")
    num_tokens: int = column("length by the target model's tokenizer, tokens")
    verdict: str = column("correct | wrong | no_answer | truncated | unverifiable")
    extracted_answer: str | None = column("the answer read from the text", default=None)
    stated_as: str | None = column(
        "how the answer was found: tag | hashes | box | label | phrase | closing_line (guessed)",
        default=None,
    )
    recorded_correct: bool | None = column("the source's own grading, if any", default=None)
    chosen: bool | None = column("for compressed: whether it is the kept round", default=None)
    stop_reason: str | None = column(
        "why compression ended, on its last round: rebound | answer_changed | "
        "answer_not_stated | truncated | min_reduction | max_rounds | rounds_done | refused",
        default=None,
    )
    target_ratio: float | None = column(
        "for compressed by fixed_ratio: share of the parent's tokens asked for", default=None
    )
    reached_ratio: float | None = column(
        "for compressed: share of the parent's tokens that is left", default=None
    )
    finish_reason: str = column(
        "stop | length | content_filter, or a server's own word (endpoints) | imported | "
        "original (a rewrite given up)"
    )
    faults: str | None = column(
        "for rewrites: why the attempts before it failed, in order", default=None
    )
    prompt_sha: str | None = column("hash of the prompt file", default=None)


@dataclass(frozen=True, kw_only=True)
class Difficulty(Usage, Row):
    table: ClassVar[str] = "difficulties"
    key: ClassVar[str] = "difficulty_id"
    identity: ClassVar[tuple[str, ...]] = ("problem_id",)

    problem_id: str = column("the problem graded")
    teacher_level: str | None = column("the teacher's verdict: easy | medium | hard", default=None)
    teacher_reason: str | None = column("why, in the teacher's words", default=None)
    type_score: float | None = column(
        "share of wrong candidates among the subject's other problems, 0..1", default=None
    )
    step_score: float | None = column("step complexity of the rationale, 0..1", default=None)
    error_rate: float | None = column("num_wrong / num_graded, 0..1", default=None)
    measured: float | None = column("weighted mean of the three signals, 0..1", default=None)
    num_steps: int | None = column("steps counted in the rationale", default=None)
    num_tokens: int | None = column("length of the rationale, tokens", default=None)
    num_wrong: int | None = column("wrong candidates, earlier runs' included", default=None)
    num_graded: int | None = column("graded candidates, earlier runs' included", default=None)
    difficulty: float = column("score the level is read from, 0..1")
    thresholds: str | None = column(
        "fixed: bounds are scores | quantile: shares of the shard's problems", default=None
    )
    medium_from: float | None = column("bound between easy and medium", default=None)
    hard_from: float | None = column("bound between medium and hard", default=None)
    level: str | None = column(
        "easy | medium | hard; null for quantile, where stg_difficulties has it", default=None
    )
    model: str | None = column("model asked, if one was", default=None)


@dataclass(frozen=True, kw_only=True)
class Score(Row):
    table: ClassVar[str] = "scores"
    key: ClassVar[str] = "score_id"
    identity: ClassVar[tuple[str, ...]] = ("rationale_id",)

    rationale_id: str = column("the rationale scored")
    problem_id: str = column("its problem")
    student: str = column("model that scored it")
    num_tokens: int = column("rationale length by the student's tokenizer, tokens")
    num_answer_tokens: int = column("answer length, tokens")
    ppl_rationale: float = column("perplexity of the rationale given the question")
    ppl_answer: float = column("perplexity of the gold answer given the question alone")
    ppl_answer_given_rationale: float = column("perplexity of the gold answer given both")
    rd: float = column("Rationale Difficulty, lower is more helpful (MoRSD section 3)")
    ifd: float | None = column("cross-entropy(r|q) / cross-entropy(r); drop above 1", default=None)
    grape: float | None = column(
        "mean log-probability of the rationale, higher better", default=None
    )
    rsr: float | None = column("rank-surprisal ratio, lower is better", default=None)
    naturalness: float | None = column("local naturalness, higher is better", default=None)
    others: dict[str, float] | None = column(  # noqa: RUF009 - None is no mutable default
        "scorer -> value, of the scorers that have no column", default=None
    )


@dataclass(frozen=True, kw_only=True)
class Selection(Row):
    table: ClassVar[str] = "selections"
    key: ClassVar[str] = "selection_id"
    identity: ClassVar[tuple[str, ...]] = ("rationale_id", "condition")

    rationale_id: str = column("the rationale judged")
    problem_id: str = column("its problem")
    condition: str = column("original | compressed: the use it was considered for")
    kept: bool = column("whether it goes on to training")
    filter: str = column(
        "filter that decided: accuracy | completeness | diversity | difficulty | kept"
    )
    reason: str = column(
        "snake_case reason, e.g. wrong_answer, cut_off, near_duplicate, rd_above_threshold"
    )
    rank: int | None = column(
        "rank by the measure among the survivors of the problem, from 1", default=None
    )
    rd: float | None = column("Rationale Difficulty, where there is one", default=None)
    by: str | None = column(
        'measure chosen by, e.g. "ifd" or "0.5 rd + 0.5 rsr"; null: by RD', default=None
    )
    value: float | None = column("the measure's value; null: the measure is RD", default=None)
    duplicate_of: str | None = column(
        "the better rationale it nearly repeats, where diversity decided", default=None
    )


@dataclass(frozen=True, kw_only=True)
class Example(Row):
    table: ClassVar[str] = "examples"
    key: ClassVar[str] = "example_id"
    identity: ClassVar[tuple[str, ...]] = ("rationale_id", "condition")

    rationale_id: str = column("the rationale taught")
    problem_id: str = column("its problem")
    condition: str = column("original | compressed; compressed prompts carry <compress>")
    prompt: str = column("user message; the control token is added by the encoder, never here")
    completion: str = column("what the student learns to write")
    num_tokens: int = column("completion length, tokens")


@dataclass(frozen=True, kw_only=True)
class Perplexity(Row):
    """How much an example surprises the student before it has learnt any."""

    table: ClassVar[str] = "perplexities"
    key: ClassVar[str] = "perplexity_id"
    identity: ClassVar[tuple[str, ...]] = ("example_id",)

    example_id: str = column("the training example")
    problem_id: str = column("its problem")
    condition: str = column("original | compressed")
    student: str = column("model that read it")
    num_tokens: int = column("tokens of the completion, by the student's tokenizer")
    perplexity: float = column("of the completion given the prompt, <compress> left out")


@dataclass(frozen=True, kw_only=True)
class Rejection(Usage, Row):
    """A record that ends here, and why. Returned by a step instead of, or beside, rows."""

    table: ClassVar[str] = "rejections"
    key: ClassVar[str] = "rejection_id"
    identity: ClassVar[tuple[str, ...]] = ("stage", "record_id", "reason")

    record_id: str = column("id of the record refused")
    problem_id: str | None = column("its problem, where there is one", default=None)
    stage: str = column("stage that refused it")
    reason: str = column("snake_case reason")
    detail: str = column("one line for a person", default="")
    model: str | None = column("model paid for, if any", default=None)
    twin: str | None = column("what it repeats, where hygiene says so: source:line", default=None)
    similarity: float | None = column("how much of it, 0..1; 1 is the same wording", default=None)


@dataclass(frozen=True, kw_only=True)
class Evaluation(Usage, Row):
    table: ClassVar[str] = "evaluations"
    key: ClassVar[str] = "evaluation_id"
    identity: ClassVar[tuple[str, ...]] = ("model_id", "problem_id", "compress", "sample")

    model_id: str = column("model evaluated: a models.model_id, or the base's name")
    role: str = column("base | trained | teacher")
    benchmark: str = column("benchmark, or file or data set, the question was read from")
    problem_id: str = column("the problem")
    sample: int = column("sample number, from 0", default=0)
    compress: bool = column("whether the prompt carried <compress>")
    text: str = column("what the model wrote")
    num_tokens: int = column("its length, tokens")
    verdict: str = column("correct | wrong | no_answer | truncated | unverifiable")
    extracted_answer: str | None = column("the answer read from the text", default=None)
    stated_as: str | None = column(
        "how the answer was found: tag | hashes | box | label | phrase | closing_line (guessed)",
        default=None,
    )
    finish_reason: str = column("stop | length | content_filter (endpoints)")
    family: str | None = column(
        "questions that share it are one cluster, as the benchmark says; null: one of its own",
        default=None,
    )
    settings: str | None = column(
        "what the answers of two models have to share: sampling and prompt, JSON",
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class Model(Row):
    table: ClassVar[str] = "models"
    key: ClassVar[str] = "model_id"
    identity: ClassVar[tuple[str, ...]] = ("base", "data_fingerprint")

    base: str = column("the model training started from")
    recipe: str = column("recipe that trained it")
    data_fingerprint: str = column("hash of the examples' ids, in order")
    path: str = column("folder of the weights, relative to the corpus")
    num_parameters: int = column("parameters, count")
    num_examples: int = column("examples trained on")
    num_too_long: int | None = column(
        "examples left out: longer than train.max_length tokens", default=None
    )
    num_steps: int = column("optimizer steps")
    train_tokens: int = column("tokens seen, padding excluded")
    train_loss: float = column("mean loss over the last epoch, nats a token")
    train_seconds: float = column("wall time of training, seconds")
    world_size: int = column("training ranks")
    settings: str | None = column("the [train] table, every default filled in, JSON", default=None)
    versions: str | None = column("package name -> version, JSON", default=None)
    engine: str | None = column("what wrapped the model: DeepSpeedEngine", default=None)
    zero_stage: int | None = column("ZeRO stage, as DeepSpeed says", default=None)
    optimizer: str | None = column("class of the optimizer", default=None)
    batching: str | None = column("packed | grouped | random", default=None)
    num_held_out: int | None = column("examples kept out to measure the loss on", default=None)
    held_out_loss: float | None = column(
        "loss on them of the weights that were kept, nats a learnt token", default=None
    )
    tokens_held_out: int | None = column("tokens of the examples kept out", default=None)
    tokens_too_long: int | None = column("tokens of the examples left out", default=None)
    learnt_tokens: int | None = column("of train_tokens, those with a label", default=None)
    kept_step: int | None = column("step whose weights became the student", default=None)
    num_attempts: int | None = column("1, and one more a loss of worker or driver", default=None)
    peak_memory_bytes: int | None = column(
        "of the fullest rank: GPU memory, on CPU resident memory", default=None
    )
    device: str | None = column("gpu | cpu", default=None)
    device_hours: float | None = column("ranks times wall time, hours", default=None)


@dataclass(frozen=True, kw_only=True)
class TrainingStep(Row):
    """One optimizer step, stored while training runs; done again after a loss, it is another."""

    table: ClassVar[str] = "training_steps"
    key: ClassVar[str] = "training_step_id"
    identity: ClassVar[tuple[str, ...]] = ("model_id", "attempt", "step")
    is_made_again: ClassVar[bool] = False

    model_id: str = column("the models.model_id it leads to")
    base: str = column("the model training started from")
    step: int = column("optimizer step, from 1; 0 is the base, before the first")
    num_steps: int = column("steps of the whole training")
    attempt: int = column("1, and one more after each loss of a worker, driver or node")
    epoch: float = column("epochs done, with fraction")
    loss: float | None = column("over the step's tokens, nats a learnt token", default=None)
    learning_rate: float | None = column("of the step", default=None)
    grad_norm: float | None = column("length of the gradient before clipping", default=None)
    held_out_loss: float | None = column(
        "on the examples kept out, nats a learnt token; null where not measured", default=None
    )
    tokens: int = column("seen so far by all ranks, padding excluded")
    tokens_per_s: float = column("of this step, all ranks")
    peak_memory_bytes: int = column("of the fullest rank so far")
    seconds: float = column("of training so far, this attempt")


@dataclass(frozen=True, kw_only=True)
class Forecast(Row):
    """What a student is expected to come to, told before it is trained."""

    table: ClassVar[str] = "forecasts"
    key: ClassVar[str] = "forecast_id"
    identity: ClassVar[tuple[str, ...]] = (
        "model_id", "benchmark", "settings", "compress", "target", "level", "method", "rests_on",
    )  # fmt: skip
    of_stage: ClassVar[bool] = False
    is_made_again: ClassVar[bool] = False

    model_id: str = column("the models.model_id that the student has, or will have once trained")
    recipe: str = column("recipe it is of")
    base: str = column("the model training starts from")
    data_fingerprint: str = column("hash of the examples' ids, in order")
    benchmark: str = column("source of the held-out problems")
    settings: str | None = column(
        "how the students it rests on were evaluated, as evaluations.settings", default=None
    )
    compress: bool = column("whether the prompts carry <compress>")
    target: str = column("accuracy (share of answers) | tokens (mean of an answer)")
    predicted: float = column("the forecast, in the target's unit")
    low: float = column("lower bound of the interval")
    high: float = column("upper bound of the interval")
    level: float = column("share of truths the interval is made to hold, e.g. 0.9")
    num_models: int = column("evaluated students it rests on")
    loo_error: float = column(
        "mean absolute error on these, each forecast from the others, in the target's unit"
    )
    loo_error_of_mean: float = column("the same of saying the mean of the others")
    features: str = column("feature -> value of the training set, JSON; null where unknown")
    used: str = column("features that it rests on, as they were transformed, JSON")
    method: str = column("regression and its revision")
    rests_on: str = column("hash of the students' ids and results")


@dataclass(frozen=True, kw_only=True)
class Run(Row):
    """One row a (resolved recipe, inputs): the same command again has the same run_id."""

    table: ClassVar[str] = "runs"
    key: ClassVar[str] = "run_id"
    identity: ClassVar[tuple[str, ...]] = ("recipe", "resolved", "fingerprints")
    of_stage: ClassVar[bool] = False

    recipe: str = column("recipe name")
    resolved: str = column("what of the recipe identifies the run, JSON; no secrets")
    fingerprints: str = column("stage name -> stage_fingerprint, JSON")
    versions: str = column("package name -> version, JSON")
    num_problems: int = column("problems ingest took in, held-out ones included", default=0)
    num_candidates: int | None = column("candidates ingest took in", default=None)
    prompts: str | None = column("prompt file -> its hash, JSON", default=None)
    settings: str | None = column("the whole recipe, every default filled in, JSON", default=None)
    prompt_texts: str | None = column("a prompt's hash -> its text, JSON", default=None)


@dataclass(frozen=True, kw_only=True)
class Invocation(Row):
    """One row a time the command was run to its end (however it ended, short of kill -9)."""

    table: ClassVar[str] = "invocations"
    key: ClassVar[str] = "invocation_id"
    identity: ClassVar[tuple[str, ...]] = ("started_at",)
    is_made_again: ClassVar[bool] = False

    started_at: str = column("UTC, ISO 8601")
    finished_at: str = column("UTC, ISO 8601")
    status: str = column("done | failed | interrupted")
    stage_seconds: str = column("stage name -> wall seconds, JSON")
    stage_rows: str = column("stage name -> new rows, JSON")
    num_requests: int = column("model requests sent")
    num_repeated: int = column("of these, requests sent before whose reply was lost")


TABLES: dict[str, type[Row]] = {
    cls.table: cls
    for cls in (
        Problem, Membership, Candidate, Rationale, Difficulty, Score, Selection, Example,
        Perplexity, Rejection, Evaluation, Model, TrainingStep, Forecast, Run, Invocation,
    )
}  # fmt: skip


def arrow_schema(row_type: type[Row]) -> pa.Schema:
    """The Parquet schema of a table: id, the row's own columns, the stamp; all described."""
    import pyarrow as pa

    hints = get_type_hints(row_type)
    described: list[tuple[str, Any, str]] = [(row_type.key, str, "content id of the row")]
    described += [(f.name, hints[f.name], f.metadata["description"]) for f in fields(row_type)]
    described += [(n, kind, text) for n, (kind, text) in STAMP.items() if n != row_type.key]
    return pa.schema(
        [
            pa.field(name, _arrow_type(kind), metadata={"description": text})
            for name, kind, text in described
        ]
    )


def _arrow_type(kind: Any) -> pa.DataType:
    import pyarrow as pa

    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = [arg for arg in get_args(kind) if arg is not type(None)]
    known: dict[Any, pa.DataType] = {
        str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(),
        dict[str, float]: pa.map_(pa.string(), pa.float64()),
    }  # fmt: skip
    return known[kind]
