"""The command line `litecot`. Heavy libraries load inside the command that needs them.

Exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted (run it again to go on).
Invariant: what a person can mend is one line on stderr naming the thing and the remedy; a traceback
is a bug of ours.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import report, serve, tab
from flows.cli.corpus import commands as corpus
from flows.cli.evaluation import compare, evaluate, evaluations, forecast, trial
from flows.cli.interruption import cleaning_up, guard
from flows.cli.messages import EXIT_FAILED
from flows.cli.options import (
    DEFAULT_CORPUS,
    CorpusOption,
    JsonOption,
    RecipeArgument,
    RunOption,
    SeedOption,
    clear_errors,
)
from flows.cli.replication import nano, real
from flows.cli.run import init
from flows.cli.run.columns import (
    AnswerColumn,
    AnswerType,
    AnswerTypeColumn,
    CandidateModelColumn,
    CandidatesColumn,
    CorrectColumn,
    OptionsColumn,
    QuestionColumn,
    SubjectColumn,
    column_overrides,
)
from flows.cli.sql import commands as sql
from flows.cli.sql.pasted import QueryCommand
from tasks.errors import UsageError

app = typer.Typer(
    name="litecot",
    help="Problems go in, a small fast reasoning model comes out; every row on the way can be "
    "queried, resumed and traced. Start with `litecot run nano`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

prompts_app = typer.Typer(invoke_without_command=True, add_completion=False)
app.add_typer(prompts_app, name="prompts")
recipes_app = typer.Typer(invoke_without_command=True, add_completion=False)
app.add_typer(recipes_app, name="recipes")
app.add_typer(corpus.app, name="corpus")
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
OnOption = Annotated[
    str | None,
    typer.Option(
        help="Plan for another cluster: machines x GPUs x GiB of each GPU, e.g. 2x8x80; with the "
        "memory of each machine 2x8x80+1024."
    ),
]


app.command()(init.init)


@app.command()
def run(
    recipe: RecipeArgument,
    corpus: CorpusOption = DEFAULT_CORPUS,
    problems: ProblemsOption = None,
    rationales: RationalesOption = None,
    question_column: QuestionColumn = None,
    options_column: OptionsColumn = None,
    answer_column: AnswerColumn = None,
    candidates_column: CandidatesColumn = None,
    correct_column: CorrectColumn = None,
    candidate_model_column: CandidateModelColumn = None,
    subject_column: SubjectColumn = None,
    answer_type_column: AnswerTypeColumn = None,
    answer_type: AnswerType = None,
    limit: LimitOption = None,
    seed: SeedOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, e.g. generate.num_candidates=8; repeatable."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be done, and stop.")] = False,
    on: OnOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="With --plan: ask servers whether they answer.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --plan: one JSON object, for programs.")
    ] = False,
) -> None:
    """Run a recipe: all its stages, training and evaluation. Run it again to resume.

    Nothing that is done is done again: the same command twice makes no row the second time.
    """
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
        if check and not plan:
            raise UsageError("--check goes with --plan: a run finds out by itself")
        if as_json and (not plan or check):
            raise UsageError("--json goes with --plan, and without --check")
        if plan:
            from flows.cli.run.plan import print_plan_json, show_plan

            if as_json:
                print_plan_json(order, on=on)
            else:
                show_plan(order, on=on, check=check)
            return
        from flows.cli.run.launch import launch

        launch(order)


@app.command()
def train(
    recipe: RecipeArgument,
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
            from flows.cli.run.training_plan import show_training_plan

            show_training_plan(order, on=on, examples=examples, tokens_each=tokens_per_example)
            return
        if on is not None or examples is not None or tokens_per_example is not None:
            raise UsageError("--on, --examples and --tokens-per-example go with --plan")
        from flows.cli.run.launch import launch_training

        launch_training(order)


app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(evaluations.evaluations)
app.command()(evaluations.frontier)
app.command("try")(trial.try_)
app.command()(serve.serve)
app.command()(forecast.forecast)
app.command()(report.report)
app.command()(nano.replicate)
app.command()(real.replicate_real)
app.command(cls=QueryCommand)(sql.sql)
app.command()(sql.ask)
app.command()(sql.describe)
app.command()(sql.export)


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
        str | None,
        typer.Option(
            help="A student's id or its start; default: the run's latest.",
            autocompletion=tab.models,
        ),
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
        str,
        typer.Argument(
            metavar="ID",
            help="Of a problem, rationale, example or model, or its start.",
            autocompletion=tab.models,
        ),
    ],
    corpus: CorpusOption = DEFAULT_CORPUS,
    as_json: JsonOption = False,
    run_id: RunOption = None,
) -> None:
    """The whole lineage of a problem: question, candidates, rewrite, rounds, scores, answers.

    Of a model (or "base", "trained" of the run): how it did, and what it answered.
    """
    from flows.cli.display import print_lineage, print_lineage_json
    from flows.cli.evaluation.answers import model_named, print_answers
    from flows.cli.readers import open_corpus
    from sql.lineage import lineage

    with clear_errors(corpus), open_corpus(corpus, run_id=run_id) as database:
        if as_json:
            print_lineage_json(lineage(database, record_id))
        elif model := model_named(database, record_id):
            print_answers(database, model)
        else:
            print_lineage(lineage(database, record_id))


@app.command()
def status(corpus: CorpusOption = DEFAULT_CORPUS, as_json: JsonOption = False) -> None:
    """Who makes the corpus now and how far, which runs were killed, and what it holds.

    Stage, records, rate and time left are of the last second. A killed run (kill -9, power) is told
    from one that goes on; what it had finished is saved.
    """
    from flows.cli.readers import open_corpus
    from flows.cli.run.status import print_standing, print_stored, standing_of, stored_of
    from flows.progress.text import print_json

    with clear_errors(corpus), open_corpus(corpus) as database:
        told = standing_of(corpus)
        held = stored_of(database)
        if as_json:
            print_json({**told, **held})
            return
        print_standing(told)
        print_stored(held)


@recipes_app.callback()
def recipes(context: typer.Context, as_json: JsonOption = False) -> None:
    """The recipes that come with the package: what each does, and with which models.

    To change one, start from its file: `litecot recipes show litecot > mine.toml`, then
    `litecot run mine.toml`.
    """
    if context.invoked_subcommand is None:
        from flows.cli.display import print_recipes

        with clear_errors():
            print_recipes(as_json=as_json)


@recipes_app.command("show")
def show_recipe(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe's name, as `litecot recipes` has it.", autocompletion=tab.shipped
        ),
    ],
) -> None:
    """Print a recipe's file, byte for byte: `litecot recipes show litecot > mine.toml`."""
    from flows.cli.prompts import print_recipe_file

    with clear_errors():
        print_recipe_file(recipe)


@prompts_app.callback()
def prompts(context: typer.Context, as_json: JsonOption = False) -> None:
    """The prompts that come with the package: step, variants, first line, which settings name them.

    A recipe may name a file of yours instead: `litecot prompts show rewrite instruct >
    shorter.jinja`, then in the recipe `rewrite.prompt = "./shorter.jinja"` (docs/recipes.md).
    """
    if context.invoked_subcommand is None:
        from flows.cli.prompts import print_prompts

        with clear_errors():
            print_prompts(as_json=as_json)


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
        str | None,
        typer.Argument(
            help="A recipe whose `plugins` are to be listed too.", autocompletion=tab.recipes
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Scorers, compression methods, answer types, engines and stages: what there is, from where.

    A recipe brings its own with plugins = ["./mine.py"]; packages with entry points.
    """
    from flows.cli.plugins import print_plugins

    with clear_errors():
        print_plugins(recipe, as_json=as_json)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """What is installed, which engines work here, what is missing and how to get it."""
    from flows.cli.doctor import examine, print_findings

    with clear_errors():
        raise typer.Exit(print_findings(examine(), as_json=as_json))


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
