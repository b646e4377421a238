"""What a bucket, a manifest or a row of `models` names is never touched outside of its folder."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.runs.weights import trained_weights
from infra.storage import Corpus, CorpusError, CorpusWriter
from infra.storage.local import LocalStore
from infra.storage.names import UnsafeNameError, checked_part, inside
from infra.storage.s3.bucket import Listed
from infra.storage.s3.store import download
from sql.database import connect
from tests.unit import sample_corpus as sample
from tests.unit.test_storage import finish

HOSTILE = [
    "", ".", "..", "../x", "a/../../x", "a/../b", "/etc/x", "//x", "a//b", "a/", "./a", "a/.",
    "C:\\x", "c:x", "C:/x", "..\\x", "a\\..\\..\\x", "\\\\host\\share", "a\0b", "a\nb", "a\x1b[2Jb",
    "a\ud800b", "a\x85b",
]  # fmt: skip
PLAIN = ["a", "weights/m1/model.safetensors", "a b", "[x]", "..a", "a..", "...", "é", "-", "~"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_no_plain_path_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeNameError, match=r"^the bucket: the name .* nothing was done") as told:
        inside(tmp_path, name, of="the bucket")
    assert str(told.value).isprintable()
    assert told.value.exit_code == 2


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_are_paths(name: str, tmp_path: Path) -> None:
    assert inside(tmp_path, name) == tmp_path / name


def test_links_are_followed_within_the_folder_and_not_out_of_it(tmp_path: Path) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    (corpus / "real").mkdir(parents=True)
    elsewhere.mkdir()
    (corpus / "in").symlink_to("real")
    (corpus / "out").symlink_to(elsewhere)
    (corpus / "real" / "file").symlink_to(elsewhere / "file")  # which is not there
    assert inside(corpus, "in/x") == corpus / "in" / "x"
    for name in ("out", "out/x", "real/file", "in/file"):
        with pytest.raises(UnsafeNameError, match="symbolic link"):
            inside(corpus, name)
    (tmp_path / "link").symlink_to(corpus)  # the folder itself may be one
    assert inside(tmp_path / "link", "real/x") == tmp_path / "link" / "real" / "x"


class Listing:
    """The `Downloads` of a bucket that somebody else filled."""

    url = "s3://bucket/corp"

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def listed(self, folder: str = "") -> Iterator[Listed]:
        for key in self._keys:
            if key.startswith(folder):
                yield Listed(name=key, size=1, modified_s=0.0, etag="")

    def fetch_file(self, name: str, path: Path) -> None:
        path.write_bytes(b"theirs")


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


steps = st.sampled_from(
    ["..", ".", "", "a", "b.json", "..\\x", "C:", "x\0", "weights", "m1", "\x9b", "out"]
) | st.text(max_size=4)
keys_of_others = st.lists(
    st.lists(steps, min_size=1, max_size=7).map(lambda some: "weights/m1/" + "/".join(some)),
    min_size=1, max_size=4,
)  # fmt: skip


@given(keys=keys_of_others)
@settings(max_examples=200, deadline=None)
@example(keys=["weights/m1/ok", "weights/m1/../../../../pwned.txt"])
@example(keys=["weights/m1/out/pwned.txt"])
@example(keys=["weights/m1/../m2/model.safetensors"])
def test_keys_of_a_bucket_are_written_in_their_folder_or_not_at_all(keys: list[str]) -> None:
    world = Path(tempfile.mkdtemp(prefix="litecot-names-"))
    try:
        folder = world / "one" / "two" / "corpus" / "weights" / "m1"
        folder.parent.mkdir(parents=True)
        leftover = folder.with_name(".m1.incoming")  # of somebody with a way out
        leftover.mkdir()
        (leftover / "out").symlink_to(world)
        (world / "mine").write_text("mine")
        try:
            is_there = download(Listing(keys), "weights/m1", folder)
        except UnsafeNameError:
            assert files_of(world) == {"mine"}
        except OSError:  # a file and a folder of one name, a name too long: said by the store
            assert files_of(world) - {"mine"} == files_of_incoming(world, leftover)
        else:
            assert is_there == folder.exists() == (files_of(folder) != set())
            assert len(files_of(world)) == 1 + len(files_of(folder))
    finally:
        shutil.rmtree(world)


def files_of_incoming(world: Path, incoming: Path) -> set[str]:
    return {str((incoming / name).relative_to(world)) for name in files_of(incoming)}


# --- manifests


@pytest.mark.parametrize(
    "name",
    ["../../mine.parquet", "part-*.parquet", "part-[0].parquet", "/mine.parquet", "..\\mine",
     "part-\0", "", "journal.sqlite"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["parts", "retired"])
def test_a_manifest_names_parts_and_nothing_else(name: str, place: str, tmp_path: Path) -> None:
    """A retired part is deleted, a damaged one moved, a live one read."""
    corpus, mine = tmp_path / "corpus", tmp_path / "mine.parquet"
    with CorpusWriter(corpus) as writer:
        finish(writer, 1)
    shutil.copy(next((corpus / "problems").glob("part-*")), mine)
    manifest = json.loads((corpus / "_manifest.json").read_text())
    if place == "parts":
        manifest["parts"]["problems"][0] |= {"name": name}
    else:
        manifest["retired"] = [{"table": "problems", "name": name, "at": 0.0}]
    del manifest["seal"]  # as before there were seals; who writes a name can seal it as well
    (corpus / "_manifest.json").write_text(json.dumps(manifest | {"version": 1}))
    before = files_of(tmp_path)
    for use in (Corpus(corpus).parts, lambda: CorpusWriter(corpus)):
        with pytest.raises(CorpusError, match=r"_manifest\.json: the name .* remove it there"):
            use()
    assert files_of(tmp_path) - before <= {"corpus/_lock"}
    assert before <= files_of(tmp_path)


def test_a_manifest_may_name_a_table_of_a_later_version() -> None:
    assert checked_part("verdicts2/part-000000000128-9c0e12-3fa2c1.parquet", of="it")
    for name in ("_journal/part-1", "problems/x/part-1", "part-1", "Problems/part-1", "p/part-ü"):
        with pytest.raises(UnsafeNameError, match="name of a part"):
            checked_part(name, of="it")


def test_a_table_that_is_a_link_out_of_the_corpus_is_left_alone(tmp_path: Path) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    with CorpusWriter(corpus) as writer:
        finish(writer, 1)
    os.rename(corpus / "problems", elsewhere)
    (elsewhere / "part-mine").write_text("would be removed as a leftover")
    (corpus / "problems").symlink_to(elsewhere)
    for use in (Corpus(corpus).parts, lambda: CorpusWriter(corpus)):
        with pytest.raises(CorpusError, match="symbolic link"):
            use()
    assert (elsewhere / "part-mine").exists()


# --- rows of `models`


@pytest.mark.parametrize(
    "path", ["../secret", "weights/../../secret", "/secret", "_journal", "", "weights", "weights/"]
)
def test_a_row_of_models_names_a_folder_of_weights(path: str, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "corpus")
    model = replace(sample.MODEL.row, path=path)
    parts = sample.write_rows(tmp_path / "corpus", [sample.Made("train", model)])
    for folder in ("secret", "corpus/weights"):
        (tmp_path / folder).mkdir()
    with connect(parts) as database:
        database.set_run("r", sample.FINGERPRINTS)
        with pytest.raises(UnsafeNameError, match="a row of raw_models: the name"):
            trained_weights(database, store)


def test_weights_behind_a_link_out_of_the_corpus_are_not_opened(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "corpus")
    (tmp_path / "secret").mkdir()
    (tmp_path / "corpus" / "weights").mkdir(parents=True)
    (tmp_path / "corpus" / "weights" / "m1").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeNameError, match="symbolic link"):
        store.fetch("weights/m1")
