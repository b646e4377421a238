"""The runner over a real corpus and real DuckDB, with models that fail, die and come back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from infra.engines import EngineConfig
from infra.engines.endpoint.refusals import EndpointError
from infra.runs import retries, runner
from infra.runs.plan import RunPlan, StageRun
from infra.runs.run import Run
from infra.runs.runner import StageFailedError, StageReport, StepError, checked_rows, run_stage
from infra.settings import Settings
from infra.storage import Corpus, CorpusError
from sql.database import connect
from tasks.ports import PermanentError, Ports, Sampling, TransientError
from tasks.prompts import PromptFile
from tasks.schemas import Membership, Problem, Rationale, Rejection, Row, Selection
from tasks.schemas import Run as RunRow
from tasks.stage import Record, Stage, StageConfig
from tests.fakes import FakeModels, FunctionChat, Reply, WordCounter, WordGrader

MODEL = EngineConfig(model="teacher-1")
PROBLEMS = [
    Problem(source="sums", question=f"what is {n} plus 1", answer=str(n + 1), answer_type="integer")
    for n in range(6)
]
FINGERPRINTS = {"ask": "fp-ask"}
RUN_ID = RunRow(recipe="r", resolved="{}", fingerprints="{}", versions="").content_id()


@dataclass(frozen=True, kw_only=True)
class AskRecord(Record):
    question: str
    answer: str
    answer_type: str


async def ask(record: AskRecord, ports: Ports, config: StageConfig) -> Sequence[Row]:
    """Two requests, so that a fault of the second finds the first paid for."""
    teacher = ports.chat["teacher"]
    prompt = ports.prompts.render("judge", question=record.question)
    await teacher.complete(prompt, Sampling())
    prompt = ports.prompts.render("generate", question=record.question)
    (reply,) = await teacher.complete(prompt, Sampling())
    grade = await ports.grader.grade(
        reply.text, answer=record.answer, answer_type=record.answer_type, truncated=False
    )
    if grade.verdict == "wrong":
        return []
    return [
        Rationale(
            problem_id=record.problem_id, kind="long", model=teacher.name, engine=teacher.engine,
            text=reply.text, num_tokens=ports.tokens.count(reply.text), verdict=grade.verdict,
            finish_reason=reply.finish_reason,
        )
    ]  # fmt: skip


ASK = Stage(
    name="ask", reads="generate", writes=Rationale, record=AskRecord, config=StageConfig, step=ask,
    roles=("teacher",),
)  # fmt: skip


class Factory:
    """A corpus of six problems in two shards; opens one run after another on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = 0
        self.prompts: dict[str, PromptFile] = {}  # by step, as planned

    def go(
        self, answer: Callable[[str], Reply], *, shard: int | None = None, **settings: Any
    ) -> tuple[StageReport | StageFailedError, FunctionChat]:
        """One invocation with a new model; what it came to, and what the model was asked."""
        chat = FunctionChat(answer)
        with self.open(chat, **settings) as run:
            try:
                return asyncio.run(run_stage(run, "ask", shard=shard)), chat
            except StageFailedError as error:
                return error, chat

    def open(self, chat: FunctionChat, **settings: Any) -> Run:
        stage = StageRun(
            stage=ASK, config=StageConfig(), fingerprint="fp-ask", models={"teacher": MODEL},
            prompts=self.prompts,
        )  # fmt: skip
        plan = RunPlan(
            run_id=RUN_ID, recipe="r", resolved="{}", fingerprints=FINGERPRINTS,
            stages={"ask": stage}, counter=MODEL, seed=7,
        )  # fmt: skip
        run = Run(
            plan, corpus=self.folder, settings=Settings(**settings), tokens=WordCounter(),
            grader=WordGrader(), models=FakeModels({"teacher-1": chat}),
        )  # fmt: skip
        if not self.runs:
            self.take_in(run)
        self.runs += 1
        return run

    def take_in(self, run: Run) -> None:
        for number, problem in enumerate(PROBLEMS):
            member = Membership(
                member_of=RUN_ID, problem_id=problem.content_id(), split="train", position=number,
                shard=number // 3,
            )  # fmt: skip
            run.write(problem.content_id(), [problem, member], stage="ingest")
        run.writer.flush()

    def rows(self, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
        with self.open(FunctionChat(right)) as run:
            return run.database().run(f"select {columns} from raw_{table} order by all").rows


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    return Factory(tmp_path / "corpus")


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_BACKOFF_S", 0.0)


def number_in(text: str) -> int:
    return int(text.split("what is ")[1].split()[0])


def right(text: str) -> Reply:
    return f"answer {number_in(text) + 1}"


def failing(number: int, fault: Reply, step: str = "reason") -> Callable[[str], Reply]:
    """Right, but for the second request of problem `number`."""

    def answer(text: str) -> Reply:
        return fault if number_in(text) == number and step in text else right(text)

    return answer


def test_each_step_asks_with_the_prompt_that_was_planned(factory: Factory) -> None:
    """Its text as it was read then: the file may be edited while the run goes on."""
    for step in ("judge", "generate"):
        factory.prompts[step] = PromptFile(
            step=step, name="./gone.jinja", text=f"{step}: {{{{ question }}}}", sha="0" * 16
        )
    outcome, chat = factory.go(right)
    assert report(outcome).num_rows == len(PROBLEMS)
    asked = {text.partition(":")[0] for text in chat.asked}
    assert asked == {"judge", "generate"}


def report(outcome: StageReport | StageFailedError) -> StageReport:
    assert isinstance(outcome, StageReport), outcome
    return outcome


def failure(outcome: StageReport | StageFailedError) -> StageFailedError:
    assert isinstance(outcome, StageFailedError), outcome
    return outcome


def test_every_record_is_a_row_once(factory: Factory) -> None:
    outcome, _ = factory.go(right)
    done = report(outcome)
    assert (done.num_pending, done.num_rows, done.num_rejected) == (6, 6, 0)
    assert len(factory.rows("rationales")) == 6


def test_what_a_stage_made_can_be_read_while_the_run_goes_on(factory: Factory) -> None:
    """Readers see parts, not the journal: a stage that has ended is in them."""
    with factory.open(FunctionChat(right)) as run:
        asyncio.run(run_stage(run, "ask"))
        readers = connect(Corpus(factory.folder).parts())
        assert readers.run("select count(*) from raw_rationales").rows == [(6,)]


def test_the_second_time_nothing_is_left_to_do(factory: Factory) -> None:
    factory.go(right)
    outcome, chat = factory.go(right)
    assert report(outcome).num_pending == 0
    assert chat.asked == []
    assert len(factory.rows("rationales")) == 6


def test_shards_are_done_one_at_a_time(factory: Factory) -> None:
    outcome, chat = factory.go(right, shard=1)
    assert report(outcome).num_rows == 3
    assert {number_in(text) for text in chat.asked} == {3, 4, 5}
    outcome, chat = factory.go(right)
    assert report(outcome).num_rows == 3
    assert {number_in(text) for text in chat.asked} == {0, 1, 2}


@pytest.mark.parametrize("place", [0.1, 0.5, 0.999])
def test_a_rotten_part_is_made_again_and_the_others_are_not_paid_for(
    factory: Factory, place: float
) -> None:
    for shard in (0, 1):
        factory.go(right, shard=shard)
    texts = factory.rows("rationales", "problem_id, text")
    part = Path(Corpus(factory.folder).parts()["rationales"][1])
    content = bytearray(part.read_bytes())
    content[int(place * len(content))] ^= 1
    part.write_bytes(content)
    (rotten,) = [one for one in Corpus(factory.folder).looked_through() if one.fault]
    assert (rotten.part.rows, rotten.part.shards, rotten.part.made) == (3, (1,), {"fp-ask": 3})
    outcome, chat = factory.go(right)
    assert report(outcome).num_rows == 3
    assert {number_in(text) for text in chat.asked} == {3, 4, 5}
    assert factory.rows("rationales", "problem_id, text") == texts
    assert len(list((factory.folder / "_quarantine").iterdir())) == 1


def test_a_part_that_healing_took_out_is_made_again_by_the_same_run_and_nothing_else(
    factory: Factory,
) -> None:
    for shard in (0, 1):
        factory.go(right, shard=shard)
    texts = factory.rows("rationales", "problem_id, text")
    read = Path(Corpus(factory.folder).parts()["rationales"][1])
    part = factory.folder / "rationales" / read.name  # one file of two names
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    check = ["corpus", "check", "--corpus", str(factory.folder)]
    found = CliRunner().invoke(app, check)
    assert found.exit_code == 1
    assert found.stdout.startswith(f"rationales: {part} (shard 1): holds other bytes than were")
    assert found.stdout.endswith("it makes 3 rows: about 0 requests and 0 tokens\n")
    assert CliRunner().invoke(app, [*check, "--heal"]).exit_code == 0
    assert len(factory.rows("rationales")) == 3
    outcome, chat = factory.go(right)
    assert report(outcome).num_rows == 3
    assert {number_in(text) for text in chat.asked} == {3, 4, 5}
    assert factory.rows("rationales", "problem_id, text") == texts
    assert CliRunner().invoke(app, check).exit_code == 0


def test_rows_are_stamped_with_what_made_them(factory: Factory) -> None:
    factory.go(right)
    columns = "input_id, problem_id, run_id, stage_fingerprint, model, num_tokens"
    for row in factory.rows("rationales", columns):
        assert row == (row[1], row[1], RUN_ID, "fp-ask", "teacher-1", 2)


def test_what_can_never_succeed_is_rejected_with_its_reason(factory: Factory) -> None:
    outcome, _ = factory.go(failing(2, PermanentError("too_long", "9000 tokens, 8192 fit")))
    done = report(outcome)
    assert (done.num_rows, done.num_rejected) == (5, 1)
    columns = "problem_id, stage, reason, detail"
    (row,) = factory.rows("rejections", columns)
    assert row == (PROBLEMS[2].content_id(), "ask", "too_long", "9000 tokens, 8192 fit")
    assert report(factory.go(right)[0]).num_pending == 0


def test_a_rejection_tells_what_its_record_had_cost(factory: Factory) -> None:
    """The first request was answered (10 tokens in, 2 out, half a second), the second refused."""
    factory.go(failing(2, PermanentError("too_long", "9000 tokens, 8192 fit")))
    columns = "num_requests, prompt_tokens, completion_tokens, latency_s, model"
    assert factory.rows("rejections", columns) == [(1, 10, 2, 0.5, "teacher-1")]


def test_a_rejection_counts_a_reply_kept_from_an_earlier_time(factory: Factory) -> None:
    factory.go(failing(2, KeyError("a bug")))
    factory.go(failing(2, PermanentError("refused", "no")))
    columns = "num_requests, prompt_tokens, completion_tokens, latency_s, model"
    assert factory.rows("rejections", columns) == [(1, 10, 2, 0.5, "teacher-1")]


def test_a_record_refused_at_once_has_cost_nothing(factory: Factory) -> None:
    factory.go(failing(2, PermanentError("refused", "no"), step=""))
    assert factory.rows("rejections", "num_requests, latency_s, model") == [(0, 0.0, None)]


def test_a_bug_in_one_record_loses_no_other_and_is_named(factory: Factory) -> None:
    outcome, _ = factory.go(failing(2, KeyError("a bug")))
    error = failure(outcome)
    assert "1 of 6 records failed, the others are saved" in str(error)
    assert f"record {PROBLEMS[2].content_id()}: KeyError: 'a bug'" in str(error)
    assert len(factory.rows("rationales")) == 5
    assert report(factory.go(right)[0]).num_rows == 1


def test_a_step_that_ends_in_no_row_loses_no_other(factory: Factory) -> None:
    outcome, _ = factory.go(failing(2, "answer nonsense"))
    assert "ends in no row" in str(failure(outcome))
    assert len(factory.rows("rationales")) == 5


def test_passing_faults_are_tried_again(factory: Factory) -> None:
    faults: list[Reply] = [TransientError("busy", retry_after_s=0.0)] * 2

    def answer(text: str) -> Reply:
        return faults.pop() if faults else right(text)

    outcome, chat = factory.go(answer, max_attempts=3)
    assert report(outcome).num_rows == 6
    assert len(chat.asked) == 12 + 2


def test_a_fault_that_does_not_pass_is_left_for_the_next_time(factory: Factory) -> None:
    outcome, chat = factory.go(failing(2, TransientError("busy")), max_attempts=3)
    assert "1 of 6 records failed" in str(failure(outcome))
    assert len(chat.asked) == 12 + 2
    assert factory.rows("rejections") == []
    assert report(factory.go(right)[0]).num_rows == 1


async def test_a_record_told_to_wait_an_hour_delays_no_other(factory: Factory) -> None:
    """One place, and the first two records wait: the other four are done meanwhile."""

    def answer(text: str) -> Reply:
        busy = TransientError("busy", retry_after_s=3600.0)
        return busy if number_in(text) < 2 else right(text)

    others_done = asyncio.Event()

    def on_progress(done: int, pending: int) -> None:
        if done == 4:
            others_done.set()

    chat = FunctionChat(answer)
    with factory.open(chat, in_flight=1) as run:
        stage = asyncio.create_task(run_stage(run, "ask", on_progress=on_progress))
        await asyncio.wait_for(others_done.wait(), 30)
        assert not stage.done()
        stage.cancel()
        await asyncio.wait([stage])
    assert [number_in(text) for text in chat.asked] == [0, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(factory.rows("rationales")) == 4


def test_who_comes_back_from_waiting_waits_for_a_place(factory: Factory) -> None:
    faults: list[Reply] = [TransientError("busy", retry_after_s=0.0)] * 5

    def answer(text: str) -> Reply:
        return faults.pop() if faults else right(text)

    outcome, chat = factory.go(answer, in_flight=2)
    assert report(outcome).num_rows == 6
    assert chat.most_in_flight == 2


def test_where_nothing_succeeds_the_rest_is_not_tried(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GIVE_UP_AFTER", 2)
    outcome, chat = factory.go(lambda _: TransientError("gone"), in_flight=1, max_attempts=1)
    error = failure(outcome)
    assert "2 of 6 records failed, the last 2 in a row, so the rest was not tried" in str(error)
    assert [number_in(text) for text in chat.asked] == [0, 1]
    assert report(factory.go(right)[0]).num_rows == 6


def test_a_server_that_refuses_us_stops_the_stage_in_its_own_words(factory: Factory) -> None:
    """No record is rejected for it, what is in flight ends, and nothing else is tried."""
    wrong_key = EndpointError("http://x/v1 refuses the key")

    def answer(text: str) -> Reply:
        return wrong_key if number_in(text) == 2 else right(text)

    chat = FunctionChat(answer)
    with factory.open(chat, in_flight=1) as run, pytest.raises(EndpointError) as caught:
        asyncio.run(run_stage(run, "ask"))
    assert caught.value is wrong_key
    assert {number_in(text) for text in chat.asked} == {0, 1, 2}
    assert len(factory.rows("rationales")) == 2
    assert factory.rows("rejections") == []


def test_failures_between_successes_stop_nothing(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GIVE_UP_AFTER", 2)

    def answer(text: str) -> Reply:
        return KeyError("a bug") if number_in(text) % 2 else right(text)

    outcome, _ = factory.go(answer, in_flight=1)
    assert "3 of 6 records failed, the others are saved" in str(failure(outcome))


def test_a_reply_that_came_is_not_paid_for_again(factory: Factory) -> None:
    """The first request of the failed record was answered: only its second is sent again."""
    factory.go(failing(2, KeyError("a bug")))
    outcome, chat = factory.go(right)
    assert report(outcome).num_rows == 1
    (again,) = chat.asked
    assert "reason" in again
    with factory.open(FunctionChat(right)) as run:
        assert run.writer.counts() == (13, 1)  # 12 requests and one whose reply was lost


def test_a_crash_between_reply_and_row_costs_no_request(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Ends the process, as far as the runner can tell."""

    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    answered: list[str] = []

    def answer(text: str) -> Reply:
        answered.append(text)
        return right(text)

    with monkeypatch.context() as patch, factory.open(FunctionChat(answer), in_flight=1) as run:
        patch.setattr(run.writer, "finish", dies)
        with pytest.raises(BaseExceptionGroup):
            asyncio.run(run_stage(run, "ask"))
    assert 2 <= len(answered) < 12
    outcome, chat = factory.go(right)
    assert report(outcome).num_rows == 6
    assert len(chat.asked) == 12 - len(answered)


def test_a_corpus_that_cannot_be_written_stops_the_stage_in_one_line(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(*_: Any, **__: Any) -> None:
        raise CorpusError("no space left")

    chat = FunctionChat(right)
    with factory.open(chat, in_flight=1) as run:
        monkeypatch.setattr(run.writer, "finish", is_full)
        with pytest.raises(CorpusError, match="no space left"):
            asyncio.run(run_stage(run, "ask"))
    assert len(chat.asked) < 12


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_no_more_records_are_in_flight_than_allowed(factory: Factory, limit: int) -> None:
    outcome, chat = factory.go(right, in_flight=limit)
    assert report(outcome).num_rows == 6
    assert chat.most_in_flight == limit


def test_progress_is_told_from_none_to_all(factory: Factory) -> None:
    told: list[tuple[int, int]] = []
    with factory.open(FunctionChat(right)) as run:
        asyncio.run(run_stage(run, "ask", on_progress=lambda *counts: told.append(counts)))
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_long_reply_is_counted_beside_the_loop_before_its_step_counts_it(
    factory: Factory,
) -> None:
    counted: list[tuple[bool, bool]] = []  # long, in the loop's thread

    class Counter(WordCounter):
        def count(self, text: str) -> int:
            counted.append((len(text) > 1000, threading.current_thread() is loops))
            return super().count(text)

    def long_for_some(prompt: str) -> Reply:
        said = right(prompt)
        return f"{'word ' * 1000}{said}" if "2 plus" in prompt else said

    loops = threading.current_thread()
    with factory.open(FunctionChat(long_for_some)) as run:
        run.tokens = Counter()
        asyncio.run(run_stage(run, "ask"))
    assert counted.count((True, True)) == 1  # by the step, once it has been counted beside it
    assert counted.count((True, False)) == 2  # of both requests
    assert counted.index((True, False)) < counted.index((True, True))
    assert counted.count((False, True)) == len(PROBLEMS) - 1


def test_the_models_are_closed_with_the_run(factory: Factory) -> None:
    with factory.open(FunctionChat(right)) as run:
        models = run._models
    assert isinstance(models, FakeModels)
    assert models.is_closed


def a_chain(kind: str) -> Rationale:
    return Rationale(
        problem_id="p", kind=kind, model="m", engine="e", text="t", num_tokens=1,
        verdict="correct", finish_reason="stop",
    )  # fmt: skip


def test_rows_that_resume_would_not_find_are_an_error_of_the_stage() -> None:
    making = replace(ASK, makes=("long",))
    refused = Rejection(record_id="r", stage="ask", reason="x")
    good = [a_chain("long"), refused]
    assert checked_rows(making, good) == good
    assert checked_rows(ASK, [a_chain("told")])
    with pytest.raises(StepError, match="'ask' returned a chain of kind 'told'"):
        checked_rows(making, [a_chain("told")])
    selection = Selection(
        rationale_id="r", problem_id="p", condition="original", kept=True, filter="kept",
        reason="kept",
    )  # fmt: skip
    with pytest.raises(StepError, match="'ask' returned Selection, and declares writes=Rationale"):
        checked_rows(ASK, [selection])
