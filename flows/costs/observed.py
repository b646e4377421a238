"""What is known before a run starts: of its input files, and of the corpus it will add to.

Invariant: cheap, whatever the size: files are sampled and counted, never parsed as a whole, and the
corpus is asked for sums. What is not known is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from flows.costs.expected import Chains, Inputs, Observed
from flows.recipes.assumptions import Assumptions
from flows.recipes.recipe import Recipe
from infra.nano.files import resolve_nano
from infra.runs.plan import RunPlan
from infra.storage.corpus import Corpus
from infra.storage.recovery import assert_corpus_or_empty
from sql.database import Database, connect
from tasks.costs import ExpectedUsage
from tasks.intake.columnar import count_arrow_rows
from tasks.intake.problems import IngestedProblem, read_problems
from tasks.intake.readers import read_rows, unpacked
from tasks.intake.sources import IngestError, Source, find_sources

SAMPLED = 200  # problems read to learn the length of questions and of rationales
CHUNK = 1 << 20
COUNTED_BYTES = 256 << 20  # read in a second; from there on by the file's size
PARSED_BYTES = 32 << 20  # CSV and JSON lists are counted by parsing them


def know_inputs(recipe: Recipe) -> Inputs:
    """From the recipe's files; hub data sets are not counted."""
    sample = _sample(recipe)
    questions = [len(item.problem.question) for item in sample]
    candidates = [len(one.text) for item in sample for one in item.candidates]
    held_out = recipe.evaluate.problems if "evaluate" in recipe.stages else ()
    return Inputs(
        num_problems=count_problems(recipe.problems),
        num_held_out=count_problems(held_out),
        question_characters=sum(questions) / len(questions) if questions else None,
        candidates=len(candidates) / len(sample) if candidates else None,
        candidate_characters=sum(candidates) / len(candidates) if candidates else None,
    )


def _sample(recipe: Recipe) -> list[IngestedProblem]:
    """The first problems of the first file."""
    files = [path for name in recipe.problems if Path(path := resolve_nano(name)).is_file()]
    if not files:
        return []
    try:
        items = islice(read_problems(files[0], recipe.source), SAMPLED)
        return [item for item in items if isinstance(item, IngestedProblem)]
    except IngestError:
        return []


def count_problems(names: Sequence[str]) -> int | None:
    """Rows of all inputs: so many problems at most. None where one of them cannot be counted."""
    if not names:
        return None
    try:
        counts = [count_rows(source) for source in find_sources(map(resolve_nano, names))]
    except (IngestError, OSError, EOFError):
        return None
    return None if None in counts else sum(count or 0 for count in counts)


def count_rows(source: Source, *, most: int = COUNTED_BYTES) -> int | None:
    """Of JSONL beyond `most` bytes about, by its size; None: a hub data set or a large list."""
    if source.kind == "hub":
        return None
    path = Path(source.location)
    if source.kind == "parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    if source.kind == "jsonl":
        return _count_lines(source, most=most)
    if source.kind == "arrow":
        return count_arrow_rows(source.location)
    if path.stat().st_size > PARSED_BYTES:
        return None
    return sum(1 for _ in read_rows(source, max_line_bytes=PARSED_BYTES))


def _count_lines(source: Source, *, most: int) -> int:
    path = Path(source.location)
    size, lines, read, last = path.stat().st_size, 0, 0, b"\n"
    with path.open("rb") as raw:
        stream = unpacked(raw, source.packing)
        while read < most and (chunk := stream.read(CHUNK)):
            lines, read, last = lines + chunk.count(b"\n"), read + len(chunk), chunk[-1:]
        if read < most:
            return lines + (last != b"\n")
        return round(lines * size / raw.tell())


@dataclass(frozen=True, kw_only=True)
class Known:
    """`num_problems`, `num_held_out`: of the run, where its ingest is done."""

    observed: Observed
    num_problems: int | None = None
    num_held_out: int | None = None


def know_corpus(location: str, plan: RunPlan) -> Known:
    """What the corpus has of the plan's stages, made under the same settings by whichever run."""
    corpus = Corpus(location)
    if not corpus.exists:  # a run may be about to make it
        with corpus.store.explained():
            assert_corpus_or_empty(corpus.store)
        return Known(observed=Observed())
    database = connect(corpus.sound_parts(), through=corpus.store.files)
    database.set_run(plan.run_id, dict(plan.fingerprints))
    stages = {fingerprint: stage for stage, fingerprint in plan.fingerprints.items()}
    inputs, usage = _usage(database, stages)
    chains, rewritten = _chains(database)
    splits = dict(database.run_file("costs", "members_by_split").rows)
    observed = Observed(
        usage=usage,
        chains=chains,
        done=_done(database, stages) if splits else {},
        share_accepted=rewritten / inputs["rewrite"] if inputs.get("rewrite") else None,
    )
    return Known(
        observed=observed, num_problems=splits.get("train"), num_held_out=splits.get("eval")
    )


def known_examples(location: str, plan: RunPlan, assumed: Assumptions) -> tuple[int, float] | None:
    """Training examples that the corpus has under the plan's settings, and their mean tokens,
    prompts by their characters; None where it has none."""
    corpus = Corpus(location)
    if "mix" not in plan.fingerprints or not corpus.exists:
        return None
    with connect(corpus.sound_parts(), through=corpus.store.files) as database:
        database.set_run(plan.run_id, dict(plan.fingerprints))
        ((count, completion, prompt),) = database.run_file("costs", "examples").rows
    return (count, completion + prompt / assumed.characters_per_token) if count else None


def _usage(
    database: Database, stages: Mapping[str, str]
) -> tuple[dict[str, int], dict[str, ExpectedUsage]]:
    """Records that asked a model, and what one of them asked, by stage."""
    inputs: dict[str, int] = {}
    usage: dict[str, ExpectedUsage] = {}
    for fingerprint, count, *sums in database.run_file("costs", "paid").rows:
        stage = stages[fingerprint]
        requests, prompt, completion = (float(value) / count for value in sums)
        inputs[stage] = count
        usage[stage] = ExpectedUsage(
            requests=requests, prompt_tokens=prompt, completion_tokens=completion
        )
    return inputs, usage


def _chains(database: Database) -> tuple[dict[str, Chains], int]:
    """By kind; and how many rewrites there are."""
    rows = database.run_file("costs", "chains").rows
    chains = {
        kind: Chains(num_tokens=tokens, share_correct=correct, share_solved=solved)
        for kind, tokens, correct, solved, _ in rows
    }
    return chains, next((count for kind, *_, count in rows if kind == "rewritten"), 0)


def _done(database: Database, stages: Mapping[str, str]) -> dict[str, int]:
    """Records of this run that are finished, by stage."""
    return {stages[key]: count for key, count in database.run_file("costs", "done").rows}
