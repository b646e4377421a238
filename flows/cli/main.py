"""The command line `litecot`. Heavy libraries load inside the command that needs them.

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted (run it again to go on).
Invariant: what a person can mend is one line on stderr naming the thing and the remedy; a traceback
is a bug of ours.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.interruption import cleaning_up, end_interrupted, guard
from flows.cli.messages import (
    EXIT_FAILED,
    EXIT_USAGE,
    exit_code,
    fail,
    is_interruption,
    is_query_fault,
    one_line,
)
from flows.cli.pasted import QueryCommand
from tasks.errors import UsageError

app = typer.Typer(
    name="litecot",
    help="Problems go in, a small fast reasoning model comes out; every row on the way can be "
    "queried, resumed and traced. Start with `litecot run nano`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CorpusOption = Annotated[
    str,
    typer.Option("--corpus", envvar="LITECOT_CORPUS", help="Corpus: a folder or s3://bucket/path."),
]
prompts_app = typer.Typer(invoke_without_command=True, add_completion=False)
app.add_typer(prompts_app, name="prompts")
recipes_app = typer.Typer(invoke_without_command=True, add_completion=False)
app.add_typer(recipes_app, name="recipes")
RunOption = Annotated[
    str | None, typer.Option("--run", help="A run's id or its start; default: the latest.")
]
ProblemsOption = Annotated[
    list[str] | None,
    typer.Option(help="File (JSONL, JSON, CSV, Parquet, Arrow) or hub id of problems; repeatable."),
]
RationalesOption = Annotated[
    list[str] | None,
    typer.Option(help="Problems that bring their own rationales (recipe morsd); repeatable."),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Only the first N problems to learn from.")
]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Seed of all sampling.")]
OnOption = Annotated[
    str | None,
    typer.Option(
        help="Plan for another cluster: machines x GPUs x GiB of each GPU, e.g. 2x8x80; with the "
        "memory of each machine 2x8x80+1024."
    ),
]
DEFAULT_CORPUS = "corpus"
corpus_app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(corpus_app, name="corpus", help="A corpus' files: `litecot corpus check`.")


@contextmanager
def clear_errors(corpus: str | None = None) -> Iterator[None]:
    """One line and an exit code for whatever a person can mend. `corpus`: what is read within."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except BaseException as error:
        if is_interruption(error):
            end_interrupted()
        if corpus is not None and is_query_fault(error):
            from flows.cli.readers import rot_in

            if rot := rot_in(corpus):
                fail(rot, code=EXIT_USAGE)
        if (code := exit_code(error)) is None:
            raise
        fail(one_line(error), code=code)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a TOML file.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    problems: ProblemsOption = None,
    rationales: RationalesOption = None,
    question_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the question, or of a conversation that asks it; repeatable: parts "
            "are joined by line breaks.",
            rich_help_panel="Columns",
        ),
    ] = None,
    options_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of all options of a multiple choice; or one each, repeatable, in order.",
            rich_help_panel="Columns",
        ),
    ] = None,
    answer_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the gold answer; repeatable: parts are joined by commas.",
            rich_help_panel="Columns",
        ),
    ] = None,
    candidates_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of a rationale, or of a list of them; dotted paths reach into objects; "
            "repeatable.",
            rich_help_panel="Columns",
        ),
    ] = None,
    correct_column: Annotated[
        list[str] | None,
        typer.Option(
            help="The source's own grading, parallel to the candidates; repeatable.",
            rich_help_panel="Columns",
        ),
    ] = None,
    candidate_model_column: Annotated[
        list[str] | None,
        typer.Option(
            help="The model that wrote a rationale, parallel to the candidates; repeatable.",
            rich_help_panel="Columns",
        ),
    ] = None,
    subject_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the topic; repeatable: joined by commas.", rich_help_panel="Columns"
        ),
    ] = None,
    answer_type_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the answer's type; repeatable: the first that holds one.",
            rich_help_panel="Columns",
        ),
    ] = None,
    answer_type: Annotated[
        str | None,
        typer.Option(
            help="math | integer | choice | yes_no | date | text; guessed if not given.",
            rich_help_panel="Columns",
        ),
    ] = None,
    limit: LimitOption = None,
    seed: SeedOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, e.g. generate.num_candidates=8; repeatable."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and stop.")] = False,
    on: OnOption = None,
) -> None:
    """Run a recipe: all its stages, training and evaluation. Run it again to resume.

    Nothing that is done is done again: the same command twice makes no row the second time.
    """
    from flows.cli.columns import column_overrides
    from flows.session import Order

    columns = column_overrides(
        question=question_column, answer=answer_column, options=options_column,
        candidates=candidates_column, correct=correct_column,
        candidate_model=candidate_model_column, subject=subject_column,
        answer_type_column=answer_type_column, answer_type=answer_type,
    )  # fmt: skip
    with clear_errors(corpus):
        order = Order(
            recipe=recipe, corpus=corpus, problems=tuple(problems or ()),
            rationales=tuple(rationales or ()), limit=limit, seed=seed,
            overrides=(*(overrides or ()), *columns),
        )  # fmt: skip
        if on is not None and not plan:
            raise UsageError("--on goes with --plan: a run goes where RAY_ADDRESS says, or here")
        if plan:
            from flows.cli.plan import show_plan

            show_plan(order, on=on)
            return
        from flows.cli.launch import launch

        launch(order)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, or a TOML file.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    problems: ProblemsOption = None,
    rationales: RationalesOption = None,
    limit: LimitOption = None,
    seed: SeedOption = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="As `litecot run` was given; repeatable.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take, and stop.")] = False,
    on: OnOption = None,
    examples: Annotated[
        int | None, typer.Option(min=1, help="Plan for so many; default: the corpus', else 100000.")
    ] = None,
    tokens_per_example: Annotated[
        int | None, typer.Option(min=1, help="Of prompt and completion; by default the corpus'.")
    ] = None,
) -> None:
    """Train a recipe's student on the examples its corpus has; --plan says what that takes.

    Give what `litecot run` was given, columns as --set: it then finds the student done.

    With --plan nothing starts: batch, steps, hours, memory of a GPU by ZeRO stage,
    what fits and what would. A start: `litecot train liter-32b --plan --on 2x8x80`.
    """
    from flows.session import Order

    with clear_errors(corpus):
        order = Order(
            recipe=recipe, corpus=corpus, problems=tuple(problems or ()),
            rationales=tuple(rationales or ()), limit=limit, seed=seed,
            overrides=tuple(overrides or ()),
        )  # fmt: skip
        if plan:
            from flows.cli.train import show_training_plan

            show_training_plan(order, on=on, examples=examples, tokens_each=tokens_per_example)
            return
        if on is not None or examples is not None or tokens_per_example is not None:
            raise UsageError("--on, --examples and --tokens-per-example go with --plan")
        from flows.cli.launch import launch_training

        launch_training(order)


@app.command(cls=QueryCommand)
def sql(
    query: Annotated[
        str | None,
        typer.Argument(help="One SELECT over the corpus' relations; without one, or -, of stdin."),
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    output: Annotated[str, typer.Option("--format", help="table | csv | json")] = "table",
    run_id: RunOption = None,
) -> None:
    """Ask a question of the corpus, read-only. Start with 'from funnel' or 'show tables'."""
    from flows.cli.display import check_format, print_batches, print_result
    from flows.cli.pasted import query_text
    from flows.cli.readers import open_corpus
    from infra.settings import load_settings
    from sql.untrusted import bounded_memory, query_untrusted, stream_untrusted

    with clear_errors():
        check_format(output)
        asked = query_text(query)
        gib = load_settings().sql_memory_gib
    with (
        clear_errors(corpus),
        open_corpus(corpus, run_id=run_id) as database,
        bounded_memory(gib),
    ):
        if output == "table":
            print_result(query_untrusted(database, asked, memory_gib=gib), output)
        else:
            found = stream_untrusted(database, asked, memory_gib=gib)
            print_batches(found.columns, found.batches, output)


@app.command()
def ask(
    question: Annotated[
        str | None, typer.Argument(help="A question's name; without one, all are listed.")
    ] = None,
    corpus: CorpusOption = DEFAULT_CORPUS,
    output: Annotated[str, typer.Option("--format", help="table | csv | json")] = "table",
    run_id: RunOption = None,
) -> None:
    """Questions about the corpus that are answered already: 'ask kinds_kept'; 'ask' lists them."""
    from flows.cli.display import check_format, print_questions, print_result
    from flows.cli.readers import open_corpus
    from sql.questions import answer, check_question

    with clear_errors():
        check_format(output)
        if question is None:
            print_questions()
            return
        check_question(question)
    with clear_errors(corpus), open_corpus(corpus, run_id=run_id) as database:
        print_result(answer(database, question), output)


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    licences: Annotated[
        list[str] | None,
        typer.Option("--licence", help="Of a source: gsm8k.jsonl=MIT; repeatable."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Also upload to this dataset repository (HF_TOKEN).")
    ] = None,
    run_id: RunOption = None,
) -> None:
    """A snapshot of a run's training examples with its card, for datasets.load_dataset."""
    from flows.cli.publish import publish_run

    with clear_errors(corpus), cleaning_up():
        publish_run(corpus, folder, licences=licences or [], push=push, run_id=run_id)


@app.command("publish-model")
def publish_model(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not be there yet.")],
    corpus: CorpusOption = DEFAULT_CORPUS,
    model: Annotated[
        str | None, typer.Option(help="A student's id or its start; default: the run's latest.")
    ] = None,
    licences: Annotated[
        list[str] | None,
        typer.Option(
            "--licence", help="Of the base: apache-2.0; of a source: gsm8k.jsonl=MIT; repeatable."
        ),
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Also upload to this model repository (HF_TOKEN).")
    ] = None,
    run_id: RunOption = None,
) -> None:
    """A trained student with its model card: weights, tokenizer, data, curve, evaluation."""
    from flows.cli.publish import publish_student

    with clear_errors(corpus), cleaning_up():
        publish_student(
            corpus, folder, model=model, licences=licences or [], push=push, run_id=run_id
        )


@app.command()
def show(
    record_id: Annotated[
        str, typer.Argument(metavar="ID", help="Of a problem, rationale or example, or its start.")
    ],
    corpus: CorpusOption = DEFAULT_CORPUS,
    run_id: RunOption = None,
) -> None:
    """The whole lineage of a problem: question, candidates, rewrite, rounds, scores, example."""
    from flows.cli.display import print_lineage
    from flows.cli.readers import open_corpus
    from sql.lineage import lineage

    with clear_errors(corpus), open_corpus(corpus, run_id=run_id) as database:
        print_lineage(lineage(database, record_id))


@app.command()
def status(corpus: CorpusOption = DEFAULT_CORPUS) -> None:
    """What the corpus holds: runs, rows, rejections, and how each invocation ended.

    One that was killed (kill -9, power) leaves no line here, only what it had finished.
    """
    from flows.cli.display import print_status
    from flows.cli.readers import open_corpus

    with clear_errors(corpus), open_corpus(corpus) as database:
        print_status(database, corpus)


@corpus_app.command("check")
def check_corpus(corpus: CorpusOption = DEFAULT_CORPUS) -> None:
    """Read every byte of a corpus and name what is not what was written; exit 1 if anything is.

    Nothing is changed: the next run sets a rotten part aside and makes its rows again.
    """
    from flows.cli import corpus_check

    with clear_errors():
        if count := corpus_check.check_corpus(corpus):
            fail(f"{corpus}: {count} {'faults' if count > 1 else 'fault'}; see above")


@recipes_app.callback()
def recipes(context: typer.Context) -> None:
    """The recipes that come with the package: what each does, and with which models.

    To change one, start from its file: `litecot recipes show litecot > mine.toml`, then
    `litecot run mine.toml`.
    """
    if context.invoked_subcommand is None:
        from flows.cli.display import print_recipes

        with clear_errors():
            print_recipes()


@recipes_app.command("show")
def show_recipe(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, as `litecot recipes` has it.")],
) -> None:
    """Print a recipe's file, byte for byte: `litecot recipes show litecot > mine.toml`."""
    from flows.cli.prompts import print_recipe_file

    with clear_errors():
        print_recipe_file(recipe)


@prompts_app.callback()
def prompts(context: typer.Context) -> None:
    """The prompts that come with the package: step, variants, first line, which settings name them.

    A recipe may name a file of yours instead: `litecot prompts show rewrite instruct >
    shorter.jinja`, then in the recipe `rewrite.prompt = "./shorter.jinja"` (docs/recipes.md).
    """
    if context.invoked_subcommand is None:
        from flows.cli.prompts import print_prompts

        with clear_errors():
            print_prompts()


@prompts_app.command("show")
def show_prompt(
    step: Annotated[str, typer.Argument(help="A step, as `litecot prompts` has it.")],
    variant: Annotated[
        str | None, typer.Argument(help="One of its variants; else instruct, or default.")
    ] = None,
) -> None:
    """Print a prompt's file, byte for byte: the place to start a prompt of your own.

    Unchanged it is the same prompt as the variant: naming it in a recipe makes nothing anew.
    """
    from flows.cli.prompts import print_prompt_file

    with clear_errors():
        print_prompt_file(step, variant)


@app.command()
def plugins(
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe whose `plugins` are to be listed too.")
    ] = None,
) -> None:
    """Scorers, compression methods, answer types, engines and stages: what there is, from where.

    A recipe brings its own with plugins = ["./mine.py"]; packages with entry points.
    """
    from flows.cli.plugins import print_plugins

    with clear_errors():
        print_plugins(recipe)


@app.command()
def doctor() -> None:
    """What is installed, which engines work here, what is missing and how to get it."""
    from flows.cli.doctor import examine, print_findings

    with clear_errors():
        raise typer.Exit(print_findings(examine()))


def main() -> None:
    """The command behind flows/cli/entry.py. A bug's traceback quotes rows too."""
    from flows.progress.logs import escape_log_records

    guard()
    escape_log_records()
    try:
        app()
    except Exception:
        from flows.progress.text import say

        say(traceback.format_exc(), file=sys.stderr)
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
