"""One run, open: its stages with their fingerprints, its corpus, and the models it may ask.

Role: what the runner and the flows share. Invariants: models, worker processes and Ray start on
first use only, so a run with nothing left to do loads nothing; one Run a corpus at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.engines import EngineConfig
from infra.engines.token_counter import TokenizerCounter
from infra.placement.plan import Phase, Placement
from infra.runs.grading import ProcessGrader
from infra.runs.models import RunModels
from infra.runs.plan import RunPlan, StageRun
from infra.runs.ports import HostedModel, ModelHost
from infra.runs.weights import trained_weights
from infra.settings import Settings
from infra.storage import Corpus, CorpusWriter
from sql.database import Database, connect
from sql.pending import check_pending, count_pending, stream_pending
from tasks.errors import LitecotError, UsageError
from tasks.ports import Grader, TokenCounter
from tasks.schemas import Row


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What a stage has left to do."""

    count: int
    records: Iterator[dict[str, Any]]


class NotTrainedError(LitecotError):
    """A trained student was asked for before there is one."""


class Run:
    """Use as a context manager: it holds the corpus's one write lock.

    `models`, `grader` and `tokens`, where given, stand in for Ray, worker processes and
    the tokenizer; `secrets` are keys of endpoints by the name of their block. `writer`: one of the
    same corpus that is open already and outlives this run.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        corpus: Path | str,
        settings: Settings,
        models: ModelHost | None = None,
        grader: Grader | None = None,
        tokens: TokenCounter | None = None,
        secrets: Mapping[str, str] | None = None,
        writer: CorpusWriter | None = None,
    ) -> None:
        self.plan = plan
        self.run_id = plan.run_id
        self.seed = plan.seed
        self.stages = plan.stages
        self.settings = settings
        self.corpus = Corpus(corpus)
        self._shares_writer = writer is not None
        self.writer = writer or CorpusWriter(corpus)
        counter = plan.counter
        self.tokens = tokens or TokenizerCounter(counter.model, revision=counter.revision)
        self._models = models
        self._grader = grader
        self._shares_grader = grader is not None
        self._secrets = secrets
        self._latest: Database | None = None
        self._looking = threading.Lock()

    def __enter__(self) -> Self:
        if not self._shares_writer:
            self.writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(self._grader, ProcessGrader) and not self._shares_grader:
                self._grader.close()
            if self._models is not None:
                self._models.close()
        finally:
            self._forget()
            if not self._shares_writer:
                self.writer.__exit__(kind, error, trace)

    def _forget(self) -> None:
        """The database `latest` keeps; the run itself may live on in the trace of its failure."""
        with self._looking:
            if self._latest is not None:
                self._latest.close()
            self._latest = None

    @cached_property
    def placement(self) -> Placement:
        """Where and when the models run. Raises PlacementError."""
        return self.plan.place(mode=self.settings.placement)

    async def begin(self, phase: Phase) -> None:
        """From now on only the models of `phase` are asked; the others make room."""
        if self._models is None:
            return  # nothing is loaded yet
        models = set(phase.models)
        for name in phase.stages:  # the weights are known only now
            if name in self.stages and self.stages[name].stage.asks_trained:
                models = set(self.stage(name).models.values())
        await self._models.reside(models)

    def stage(self, name: str) -> StageRun:
        """The stage, its models as placed; where it evaluates the trained student, that one."""
        stage = self.stages[name]
        placed = self.placement.placed
        models = {role: placed.get(config, config) for role, config in stage.models.items()}
        stage = replace(stage, models=models)
        if not stage.stage.asks_trained:
            return stage
        weights = trained_weights(self.latest(), self.corpus.store)
        if weights is None:
            raise NotTrainedError("there is no trained student to evaluate: run the stage 'train'")
        student = stage.models["student"].model_copy(update={"model": str(weights.resolve())})
        return replace(stage, models={"student": student}, names={"student": weights.name})

    @property
    def grader(self) -> Grader:
        """Started on first use."""
        if self._grader is None:
            self._grader = process_grader(self.settings)
        return self._grader

    def model(self, config: EngineConfig, *, affinity: str = "") -> HostedModel:
        """The model of `config`; its engine starts with its first request."""
        if self._models is None:
            self._models = RunModels(self.settings, secrets=self._secrets)
        return self._models.model(config, affinity=affinity)

    def database(self) -> Database:
        """The corpus as it is now, this run selected; the caller's own, who may close it."""
        database = connect(self.corpus.parts(), through=self.corpus.store.files)
        database.set_run(self.run_id, dict(self.plan.fingerprints))
        return database

    def latest(self) -> Database:
        """One for all who only ask, which shows the parts of now. Not to be closed."""
        with self._looking:
            if self._latest is None:
                self._latest = self.database()
            else:
                self._latest.show(self.corpus.parts())
            return self._latest

    def pending(self, stage: StageRun, shard: int | None) -> Pending:
        """Inputs of `stage` in `shard` that have neither rows nor a rejection yet.

        Raises UsageError where a query from outside fails, or gives a record twice.
        """
        database = self.latest()
        arguments = stage.pending_query(shard)
        if stage.stage.query:
            with _named(stage):
                check_pending(database, **arguments)
        count = count_pending(database, **arguments)
        return Pending(count=count, records=_records(stage, stream_pending(database, **arguments)))

    def write(
        self, input_id: str, rows: list[Row], *, stage: str, shard: int | None = None
    ) -> None:
        """Rows made outside a step (ingest, training, the run itself)."""
        self.writer.finish(
            input_id,
            rows,
            stage_fingerprint=self.plan.fingerprints.get(stage, ""),
            run_id=self.run_id,
            shard=shard,
        )


def process_grader(settings: Settings) -> ProcessGrader:
    """As the settings have it; its workers start with the first answer."""
    return ProcessGrader(
        max_workers=settings.grader_processes, time_limit_s=settings.answer_timeout_s
    )


@contextmanager
def _named(stage: StageRun) -> Iterator[None]:
    """What a query from outside is blamed for names its stage."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"stage {stage.stage.name!r}: its query: {error}") from error


def _records(stage: StageRun, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    with _named(stage):
        yield from records
