"""Care of a corpus in a bucket: copied there and back it is equal, and what folders have it has."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from infra.storage import Corpus, CorpusWriter
from infra.storage.checksums import sum_folder
from tests.s3_server import BUCKET, S3Service
from tests.unit import sample_corpus as sample
from tests.unit.test_corpus_care import YOUNG_ID, command, copied, fates, told, write_young
from tests.unit.test_corpus_moves import difference, files
from tests.unit.test_storage import finish


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of few tables: each part is some requests of a server in this process."""
    folder = tmp_path_factory.mktemp("on_s3") / "sample"
    scores = sample.score(sample.REWRITTEN.id, 0.5), sample.score(sample.ROUND_1.id, 0.75)
    chains = sample.LONG, sample.REWRITTEN, sample.ROUND_1
    run = sample.Made("run", sample.RUN)
    sample.write_rows(folder, [run, sample.problem(0), *chains, *scores, sample.MODEL])
    (folder / "weights" / "m" / "deep").mkdir(parents=True)
    for name in ("model.bin", "deep/vocab"):
        (folder / "weights" / "m" / name).write_bytes(name.encode() * 200)
    sum_folder(folder / "weights" / "m")
    return folder


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "corpus")


def test_copied_to_a_bucket_and_back_it_is_equal(
    s3: S3Service, corpus: Path, tmp_path: Path
) -> None:
    """Cut off on the way and gone on with; and what is sent later is what is new."""
    url, back = s3.new_corpus(), tmp_path / "back"
    s3.refuse = lambda method, path: method == "PUT" and "/scores/" in path
    code, _, err = command("copy", corpus, url)
    assert code == 1
    assert "answers 503 SlowDown" in err
    s3.behave()
    assert "is an unfinished copy; go on with" in command("size", "--corpus", url)[2]
    code, out, err = command("copy", corpus, url)
    assert (code, err) == (0, "")
    assert not out.endswith("; 0 bytes were there\n")
    assert difference(corpus, url)["equal"]
    assert command("check", "--corpus", url)[0] == 0
    assert command("copy", url, back)[0] == 0
    assert files(back) == files(corpus)
    assert difference(corpus, back)["equal"]
    assert command("check", "--corpus", back)[0] == 0
    with CorpusWriter(corpus) as writer:
        finish(writer, 1)
    s3.requests.clear()
    assert command("copy", corpus, url)[0] == 0
    sent = [path for method, path in s3.requests if method == "PUT" and "/part-" in path]
    assert len([path for path in sent if "/problems/" not in path]) == 0
    assert difference(corpus, url)["equal"]
    with CorpusWriter(url) as writer:  # the copy is a corpus of its own from here on
        assert (finish(writer, 1), finish(writer, 2)) == (0, 1)
    assert "a copy that was written to since" in command("copy", corpus, url)[2]


def test_an_object_that_changed_is_named_healed_and_made_again(s3: S3Service, corpus: Path) -> None:
    url = s3.new_corpus()
    assert command("copy", corpus, url)[0] == 0
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    (scores,) = [key for key in s3.keys(url) if key.startswith("scores/")]
    for key in (scores, "weights/m/model.bin"):
        body = s3.client().get_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["Body"].read()
        changed = body[:-1] + bytes([body[-1] ^ 1])
        s3.client().put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=changed)
    code, out, _ = command("check", "--corpus", url, "--heal")
    assert code == 0
    assert out.startswith(f"scores: {url}/{scores} (all shards): holds other bytes than were")
    assert f"{url}/weights/m/model.bin: holds other bytes than were written" in out
    assert not [key for key in s3.keys(url) if key.startswith(("scores/", "weights/"))]
    assert len([key for key in s3.keys(url) if key.startswith("_quarantine/")]) == 4
    with CorpusWriter(url) as writer:
        for row in (sample.score(sample.REWRITTEN.id, 0.5), sample.score(sample.ROUND_1.id, 0.75)):
            again = writer.finish(
                "x", [row.row], stage_fingerprint="fp-score", run_id=sample.RUN_ID
            )
            assert again == 1
    assert command("check", "--corpus", url)[0] == 0


def test_pruned_in_a_bucket_it_frees_what_was_said(s3: S3Service, corpus: Path) -> None:
    write_young(corpus)
    url = s3.new_corpus()
    assert command("copy", corpus, url)[0] == 0
    planned = told("prune", "--keep-runs", "1", "--dry-run", "--corpus", url)
    assert fates(planned) == {YOUNG_ID: True, sample.RUN_ID: False}
    code, _, err = command("prune", "--keep-runs", "1", "--yes", "--corpus", url)
    assert (code, err.count("\n")) == (0, 1)
    assert f"({planned['bytes']} bytes) are free" in err
    assert not [key for key in s3.keys(url) if key.startswith("weights/")]
    assert command("check", "--corpus", url)[0] == 0
    on_disk = corpus.with_name("pruned")
    shutil.copytree(corpus, on_disk)
    assert command("prune", "--keep-runs", "1", "--yes", "--corpus", on_disk)[0] == 0
    assert difference(on_disk, url)["equal"]


def test_corpora_of_a_folder_and_a_bucket_are_merged(
    s3: S3Service, corpus: Path, tmp_path: Path
) -> None:
    one, into = s3.new_corpus(), s3.new_corpus()
    write_young(tmp_path / "other")
    with CorpusWriter(tmp_path / "other") as writer:
        finish(writer, 7)
        finish(writer, 0, sample.PROBLEMS[0])
    assert command("copy", corpus, one)[0] == 0
    code, out, err = command("merge", one, tmp_path / "other", "--into", into)
    assert (code, err) == (0, "")
    assert re.search(r": 12 rows and 1 student came, 1 row was there already", out)
    assert command("check", "--corpus", into)[0] == 0
    assert Corpus(into).manifest().schema == Corpus(corpus).manifest().schema
    assert command("compact", "--corpus", into)[0] == 0
    found = difference(corpus, into)
    assert not any(one["num_only_here"] or one["num_differing"] for one in found["tables"])
