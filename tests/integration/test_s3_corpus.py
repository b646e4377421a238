"""A corpus in a bucket keeps what a folder keeps: no row lost or doubled, one writer, clear lines.

moto speaks S3 on loopback; a real HTTP proxy before it answers 503, cuts connections and loses
replies.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from typer.testing import CliRunner

from flows.cli.main import app
from infra.storage import Corpus, CorpusError, CorpusWriter
from infra.storage.errors import StoreUnavailableError
from infra.storage.s3.store import S3Store
from sql.database import Database, connect
from sql.untrusted import QueryRefusedError, query_untrusted, stream_untrusted
from tasks.schemas import Problem, Rationale
from tests.s3_server import BUCKET, S3Service
from tests.unit.test_storage import finish, problem
from tests.unit.test_storage_recovery import Corpora


def database(url: str) -> Database:
    corpus = Corpus(url)
    return connect(corpus.parts(), through=corpus.store.files)


def questions(url: str) -> list[object]:
    """As a reader finds them, without the views."""
    return questions_of(Corpus(url))


def questions_of(corpus: Corpus) -> list[object]:
    names = [file.removeprefix(f"{corpus.store}/") for file in corpus.parts()["problems"]]
    tables = [pq.read_table(corpus.store.open(name)) for name in names]
    return [question for table in tables for question in table["question"].to_pylist()]


def part_puts(method: str, path: str) -> bool:
    return method == "PUT" and "/part-" in path


def manifest_puts(method: str, path: str) -> bool:
    return method == "PUT" and "_manifest" in path


def twice(chooser: Callable[[str, str], bool], times: int = 2) -> Callable[[str, str], bool]:
    """The first few that `chooser` takes."""
    left = [None] * times
    return lambda method, path: chooser(method, path) and bool(left) and not left.pop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- rows


def test_rows_keep_their_order_through_folds_compaction_and_reopening(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url, grace_s=0) as writer:
        for number in range(20):
            finish(writer, number)
            if number % 4 == 0:
                writer.flush()
        writer.flush()
        assert writer.compact("problems") == 6
        assert finish(writer, 3) == 0
    with CorpusWriter(url, grace_s=0) as writer:
        assert finish(writer, 4) == 0
    assert questions(url) == [f"q{i}" for i in range(20)]
    assert len([name for name in s3.keys(url) if "part-" in name]) == 1
    assert Corpus(url).faults() == []


def shown(s3: S3Service, url: str) -> list[str]:
    """Keys of a table's folder, where anybody may glob them."""
    return [name for name in s3.keys(url) if name.startswith("problems/")]


def test_a_table_folder_holds_current_rows_only_and_readers_keep_theirs(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        for number in range(4):
            finish(writer, number)
            writer.flush()
        reader = Corpus(url)
        before = reader.parts()
        with connect(before, through=reader.store.files) as database:
            writer.compact()
            assert len(shown(s3, url)) == 1
            asked = database.run("select question from raw_problems").rows
            assert sorted(asked) == [(f"q{i}",) for i in range(4)]
        assert questions(url) == [f"q{i}" for i in range(4)]
        (live,) = Corpus(url).parts()["problems"]
        assert writer._manifest.parts["problems"][0].etag == etag_of(s3, live)
    with CorpusWriter(url, grace_s=0):
        assert [name for name in s3.keys(url) if "part-" in name] == shown(s3, url)


def etag_of(s3: S3Service, name: str) -> str:
    key = name.removeprefix(f"s3://{BUCKET}/")
    return str(s3.client().head_object(Bucket=BUCKET, Key=key)["ETag"])


@pytest.mark.parametrize("refused", ["DELETE", "POST", "PUT"])
def test_an_exchange_that_broke_off_is_ended_by_the_next_writer(
    s3: S3Service, refused: str
) -> None:
    """In a table's folder there is never a row twice, and after it none is missing."""
    url = s3.new_corpus()
    writer = CorpusWriter(url)
    for number in range(3):
        finish(writer, number)
        writer.flush()
    was_replaced = writer._manifest.generation
    s3.refuse = lambda method, path: (
        method == refused and "_manifest" not in path and bool(writer._manifest.retired)
    )
    with pytest.raises(StoreUnavailableError):
        writer.compact()
    s3.behave()
    assert len(shown(s3, url)) in (0, 3) or refused == "DELETE"
    writer._background.shutdown()
    writer.store.release()
    writer._journal.close()
    writer._lock.release()
    with CorpusWriter(url) as after:
        assert after._manifest.generation == was_replaced + 1
        assert len(shown(s3, url)) == 1
    assert questions(url) == ["q0", "q1", "q2"]
    assert Corpus(url).faults() == []


class S3Corpora(Corpora):
    """The same with a bucket: a kill leaves a copy of the prefix and of the journal."""

    service: S3Service

    def begin(self) -> str:
        os.environ["LITECOT_JOURNALS"] = str(self.root)
        url = self.service.new_corpus()
        self.reader = Corpus(url)
        return url

    def seen(self) -> list[object]:
        if str(self.reader.store) != self.corpus:
            self.reader = Corpus(self.corpus)
        return questions_of(self.reader)

    def copy_as_killed(self) -> str:
        left = self.service.new_corpus()
        client, prefix = self.service.client(), left.removeprefix(f"s3://{BUCKET}/")
        source = self.corpus.removeprefix(f"s3://{BUCKET}/")
        for name in self.service.keys(self.corpus):
            where = {"Bucket": BUCKET, "Key": f"{source}/{name}"}
            client.copy_object(Bucket=BUCKET, Key=f"{prefix}/{name}", CopySource=where)
        orphan = f"{prefix}/problems/part-000000000099-aaaaaa-cccccc.parquet"
        client.put_object(Bucket=BUCKET, Key=orphan, Body=b"torn")
        folder = self.writer.store.folder
        shutil.copytree(folder, S3Store(left, journals=self.root).folder)
        return left


@pytest.mark.timeout(120)
def test_any_order_of_finishing_folding_compacting_and_killing(s3: S3Service) -> None:
    S3Corpora.service = s3
    case = S3Corpora.TestCase()
    case.settings = settings(max_examples=3, stateful_step_count=10, deadline=None, database=None)
    case.runTest()


def test_killed_between_parts_and_manifest(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        finish(writer, 1)
    s3.refuse = manifest_puts
    writer = CorpusWriter.__new__(CorpusWriter)
    with pytest.raises(StoreUnavailableError):  # cannot even make the manifest its own
        writer.__init__(url)  # type: ignore[misc]
    s3.behave()
    with CorpusWriter(url, patience_s=0) as writer:
        finish(writer, 2)
        s3.refuse = manifest_puts
        with pytest.raises(StoreUnavailableError, match="1 finished records wait in"):
            writer.flush()
        assert len([name for name in s3.keys(url) if "part-" in name]) == 2
        assert questions(url) == ["q1"]
        s3.behave()
    assert questions(url) == ["q1", "q2"]


def test_truncated_part_is_set_aside_and_its_rows_can_be_made_again(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        finish(writer, 1)
        writer.flush()
        finish(writer, 2)
    key = Corpus(url).parts()["problems"][1].removeprefix(f"s3://{BUCKET}/")
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=b"PAR1 torn")
    with CorpusWriter(url) as writer:
        assert "1 rows are made again" in writer.warnings[0]
        assert [finish(writer, number) for number in (1, 2)] == [0, 1]
    assert questions(url) == ["q1", "q2"]
    assert any(name.startswith("_quarantine/") for name in s3.keys(url))


def test_an_object_with_a_flipped_byte_is_named_and_made_again(s3: S3Service) -> None:
    """What the bucket tells of the others is enough: none of them is read for it."""
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        for number in range(3):
            finish(writer, number, long_problem(number))
            writer.flush()
    s3.bytes_served = 0
    Corpus(url).sound_parts()
    assert s3.bytes_served < 10_000
    where = Corpus(url).parts()["problems"][1]
    key = where.removeprefix(f"s3://{BUCKET}/")
    content = bytearray(s3.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=bytes(content))
    with pytest.raises(CorpusError, match=f"{where}: holds other bytes"):
        Corpus(url).sound_parts()
    done = CliRunner().invoke(app, ["corpus", "check", "--corpus", url])
    assert done.exit_code == 1
    assert done.stdout.startswith(f"problems: {where} (all shards): holds other bytes")
    with CorpusWriter(url) as writer:
        assert f"{where}: holds other bytes than were written; set aside" in writer.warnings[0]
        again = [finish(writer, number, long_problem(number)) for number in range(3)]
        assert again == [0, 1, 0]
    assert Corpus(url).faults() == []


def long_problem(number: int) -> Problem:
    """Of some 20 KB that do not compress."""
    return problem(number, question=f"q{number} {random.Random(number).randbytes(20_000).hex()}")


# --- a service that misbehaves


def test_storm_of_503_delays_parts_and_loses_nothing(
    s3: S3Service, caplog: pytest.LogCaptureFixture
) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url, fold_seconds=0.01) as writer:
        finish(writer, 0)
        writer.flush()
        s3.refuse = lambda method, path: True
        number = iter(range(1, 10_000))
        until(lambda: bool(finish(writer, next(number)) and writer._away_since))
        finished = next(number)
        until(lambda: "finished records wait in" in caplog.text)
        s3.behave()
    assert questions(url) == [f"q{i}" for i in range(finished)]
    assert "answers again" in caplog.text
    assert caplog.text.count("answers 503 SlowDown") == 1


def test_flush_outlasts_a_storm(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        finish(writer, 1)
        s3.refuse = twice(part_puts, 5)
        writer.flush()
        assert questions(url) == ["q1"]


def test_a_run_that_ends_in_a_storm_says_what_waits_where(s3: S3Service) -> None:
    url = s3.new_corpus()
    writer = CorpusWriter(url, patience_s=0.1)
    finish(writer, 1)
    s3.refuse = part_puts
    with pytest.raises(StoreUnavailableError) as caught:
        writer.close()
    for words in (url, "503 SlowDown", "run the same command again; nothing finished is lost",
                  f"1 finished records wait in {writer.store.folder}"):  # fmt: skip
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    s3.behave()
    CorpusWriter(url).close()
    assert questions(url) == ["q1"]


def test_cut_connections_are_tried_again(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        for number, chooser in enumerate([part_puts, manifest_puts, lambda m, p: m == "GET"]):
            s3.reset = twice(chooser, 1)
            finish(writer, number)
            writer.flush()
            assert questions(url) == [f"q{i}" for i in range(number + 1)]


def test_own_write_whose_reply_got_lost_is_no_other_writers(s3: S3Service) -> None:
    url = s3.new_corpus()
    s3.lose_reply = twice(lambda method, path: method == "PUT" and "_lock" in path, 1)
    with CorpusWriter(url) as writer:
        s3.lose_reply = twice(manifest_puts, 1)
        finish(writer, 1)
        writer.flush()
        s3.lose_reply = twice(part_puts, 1)
        finish(writer, 2)
        writer.flush()
    assert questions(url) == ["q1", "q2"]


def test_storm_while_opening_takes_no_part_for_corrupt(s3: S3Service) -> None:
    url = s3.new_corpus()
    s3.refuse = lambda method, path: method == "HEAD" and "/part-" in path
    with CorpusWriter(url) as writer:  # its tag is not known, so it is read when it is opened
        finish(writer, 1)
    s3.behave()
    for hit in ("refuse", "reset"):
        setattr(s3, hit, lambda method, path: method == "GET" and "/part-" in path)
        with pytest.raises(StoreUnavailableError):
            CorpusWriter(url)
        s3.behave()
    with CorpusWriter(url) as writer:
        assert writer.warnings == ()
    assert questions(url) == ["q1"]


# --- one writer


def other_machine(url: str, folder: Path, *, expires_s: float = 1e6) -> S3Store:
    """The corpus as another machine has it: with another journal."""
    return S3Store(url, journals=folder, expires_s=expires_s)


def test_second_writer_is_refused_on_this_machine_and_on_others(
    s3: S3Service, tmp_path: Path
) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        for location in (url, other_machine(url, tmp_path / "other")):
            with pytest.raises(
                CorpusError, match=f"written by process {os.getpid()} on "
            ) as caught:
                CorpusWriter(location)
            assert "\n" not in str(caught.value)
            assert url in str(caught.value)
        assert f"its journal is: {writer.store.folder}" in str(caught.value)
        finish(writer, 1)
    with CorpusWriter(other_machine(url, tmp_path / "other")) as writer:  # after a release: at once
        assert finish(writer, 1) == 0
    assert questions(url) == ["q1"]


def test_lost_machine_costs_what_was_not_uploaded_and_wakes_up_to_a_refusal(
    s3: S3Service, tmp_path: Path
) -> None:
    url = s3.new_corpus()
    silent = CorpusWriter(other_machine(url, tmp_path / "silent"))  # gives no sign of life
    finish(silent, 1)
    silent.flush()
    finish(silent, 2)

    def refusal(*, expires_s: float = 2) -> str:
        try:
            CorpusWriter(other_machine(url, tmp_path / "new", expires_s=expires_s)).close()
        except CorpusError as error:
            return str(error)
        return ""

    assert "if that machine is lost, try again in" in refusal(expires_s=600)
    until(lambda: not refusal())
    with CorpusWriter(other_machine(url, tmp_path / "new")) as writer:
        assert [finish(writer, number) for number in (1, 2, 3)] == [0, 1, 1]
        writer.flush()
        finish(silent, 4)
        with pytest.raises(CorpusError, match="another writer has taken over"):
            silent.flush()
        with pytest.raises(CorpusError, match="another writer has taken over"):
            silent.close()
        finish(writer, 5)
    assert questions(url) == ["q1", "q2", "q3", "q5"]
    CorpusWriter(other_machine(url, tmp_path / "silent")).close()  # what it had comes in, once
    assert questions(url) == ["q1", "q2", "q3", "q5", "q4"]
    assert Corpus(url).faults() == []


def test_writer_gives_signs_of_life_and_learns_that_it_lost_the_corpus(
    s3: S3Service, tmp_path: Path
) -> None:
    url = s3.new_corpus()
    writer = CorpusWriter(other_machine(url, tmp_path / "one", expires_s=0.5))
    client, key = s3.client(), f"{url.removeprefix(f's3://{BUCKET}/')}/_lock"
    before = client.get_object(Bucket=BUCKET, Key=key)["ETag"]
    until(lambda: client.get_object(Bucket=BUCKET, Key=key)["ETag"] != before)
    client.put_object(Bucket=BUCKET, Key=key, Body=b'{"journal": "another"}')

    def stopped() -> bool:
        try:
            finish(writer, 1)
        except CorpusError as error:
            return "another writer has taken over" in str(error)
        return False

    until(stopped)
    with pytest.raises(CorpusError, match="another writer"):
        writer.close()


def test_killed_writer_of_this_machine_is_followed_at_once(s3: S3Service, tmp_path: Path) -> None:
    url = s3.new_corpus()
    killed = CorpusWriter(url)
    finish(killed, 1)
    journals = tmp_path / "copy"
    shutil.copytree(tmp_path / "journals", journals)
    with CorpusWriter(S3Store(url, journals=journals)) as writer:
        assert finish(writer, 1) == 0
    with pytest.raises(CorpusError, match="another writer has taken over"):
        killed.close()
    assert questions(url) == ["q1"]


def test_store_without_conditional_writes_is_refused(s3: S3Service) -> None:
    s3.ignores_conditions = True
    with pytest.raises(CorpusError, match="ignores conditional writes"):
        CorpusWriter(s3.new_corpus())


# --- reading


def test_one_column_is_read_without_the_others(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        for number in range(100):
            text = os.urandom(100_000).hex()
            finish(writer, number, problem(number), rationale(number, text))
        writer.flush()
        total = sum(s3_size(s3, name) for files in writer.parts().values() for name in files)
    assert total > 8_000_000
    s3.bytes_served = 0
    corpus = Corpus(url)
    with connect(corpus.parts(), through=corpus.store.files) as opened:
        assert opened.run("select sum(num_tokens) from raw_rationales").rows == [(4950,)]
        assert s3.bytes_served < total / 10
        s3.bytes_served = 0
        opened.run("select sum(num_tokens) from raw_rationales")
        assert s3.bytes_served == 0  # remembered
        assert opened.run("select sum(length(text)) from raw_rationales").rows == [(20_000_000,)]
        assert s3.bytes_served > total / 2


def rationale(number: int, text: str) -> Rationale:
    return Rationale(
        problem_id=f"p{number}", kind="long", candidate=0, round=0, model="m", engine="e",
        text=text,
        num_tokens=number, verdict="right", stop_reason="stop", finish_reason="stop",
        prompt_sha="s", prompt_tokens=1, completion_tokens=1, latency_s=0.0,
    )  # fmt: skip


def s3_size(s3: S3Service, url: str) -> int:
    key = url.removeprefix(f"s3://{BUCKET}/")
    return int(s3.client().head_object(Bucket=BUCKET, Key=key)["ContentLength"])


def test_queries_of_strangers_read_the_corpus_and_nothing_else(s3: S3Service) -> None:
    url, secret = s3.new_corpus(), s3.new_corpus()
    for some in (url, secret):
        with CorpusWriter(some) as writer:
            finish(writer, 1)
    (other,) = Corpus(secret).parts()["problems"]
    opened = database(url)
    assert query_untrusted(opened, "select question from raw_problems").rows == [("q1",)]
    stream = stream_untrusted(opened, "select question from raw_problems")
    assert [row for batch in stream.batches for row in batch] == [("q1",)]
    for query in (f"from '{other}'", f"from read_text('{url}/_manifest.json')", "from 's3://x/y'",
                  f"from glob('s3://{BUCKET}/*')", f"copy raw_problems to '{url}/x.parquet'",
                  "from read_text('/etc/passwd')"):  # fmt: skip
        with pytest.raises((QueryRefusedError, ValueError)):
            query_untrusted(opened, query)
    assert len(s3.keys(url)) == 3


def test_fault_while_reading_is_one_line(s3: S3Service) -> None:
    url = s3.new_corpus()
    with CorpusWriter(url) as writer:
        finish(writer, 1)
    corpus = Corpus(url)
    parts = corpus.parts()
    s3.refuse = lambda method, path: "/part-" in path
    with pytest.raises(StoreUnavailableError, match="answers 503 SlowDown"):
        connect(parts, through=corpus.store.files)


# --- what a person can mend


@pytest.mark.parametrize(
    ("refusal", "told"),
    [((403, "AccessDenied"), "access denied"), ((404, "NoSuchBucket"), "no bucket corpora at"),
     ((403, "RequestTimeTooSkewed"), "clock is wrong"),
     ((501, "NotImplemented"), "use a store that can do this")],
)  # fmt: skip
def test_refusals_name_the_remedy(s3: S3Service, refusal: tuple[int, str], told: str) -> None:
    s3.refusal, s3.refuse = refusal, lambda method, path: True
    for use in (CorpusWriter, lambda url: Corpus(url).parts()):
        with pytest.raises(CorpusError, match=told) as caught:
            use(s3.new_corpus())
        assert "\n" not in str(caught.value)


def test_no_credentials(s3: S3Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CorpusError, match="no credentials for it; set AWS_ACCESS_KEY_ID"):
        CorpusWriter(s3.new_corpus())


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [("http://127.0.0.1:9", "http://127.0.0.1:9 is not reached"), ("nonsense", "nonsense")],
)
def test_wrong_endpoint(
    s3: S3Service, monkeypatch: pytest.MonkeyPatch, endpoint: str, told: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(CorpusError, match=told):
        CorpusWriter(s3.new_corpus())


@pytest.mark.parametrize("url", ["s3://", "s3:/bucket/x", "gs://bucket/x"])
def test_urls_that_are_none(s3: S3Service, url: str) -> None:
    with pytest.raises(CorpusError, match="pass a"):
        CorpusWriter(url)


def test_prefix_of_something_else_is_left_alone(s3: S3Service) -> None:
    url = s3.new_corpus()
    key = f"{url.removeprefix(f's3://{BUCKET}/')}/thesis.tex"
    s3.client().put_object(Bucket=BUCKET, Key=key, Body=b"x")
    with pytest.raises(CorpusError, match=r"not a corpus but holds thesis\.tex"):
        CorpusWriter(url)
    assert s3.keys(url) == ["thesis.tex"]


# --- weights


def test_weights_are_kept_in_the_bucket_and_fetched_elsewhere(
    s3: S3Service, tmp_path: Path
) -> None:
    here = S3Store(s3.new_corpus(), journals=tmp_path / "here")
    folder = here.folder / "weights" / "m1"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    (folder / "deep" / "config.json").write_text("{}")
    here.keep("weights/m1")
    there = S3Store(str(here), journals=tmp_path / "there")
    assert not there.fetch("weights/m2")
    assert there.fetch("weights/m1")
    assert (there.folder / "weights/m1/model.safetensors").read_bytes() == b"w" * 1000
    assert (there.folder / "weights/m1/deep/config.json").read_text() == "{}"


@pytest.mark.parametrize("key", ["../../../../mine", "../m2/model.safetensors", "a//b", "..\\mine"])
def test_a_key_never_leads_out_of_its_folder(key: str, s3: S3Service, tmp_path: Path) -> None:
    """Whoever may write to a bucket could write any file of this machine, empty at the least."""
    store = S3Store(s3.new_corpus(), journals=tmp_path / "journals")
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (store.folder / "weights").mkdir(parents=True)
    prefix = str(store).removeprefix(f"s3://{BUCKET}/")
    for name in ("model.safetensors", key):
        s3.client().put_object(Bucket=BUCKET, Key=f"{prefix}/weights/m1/{name}", Body=b"theirs")
    with pytest.raises(CorpusError, match=r"^s3://.*: the name '.*' .* remove it there") as told:
        store.fetch("weights/m1")
    assert "\n" not in str(told.value)
    assert mine.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
