"""`litecot train RECIPE --plan`: batch, steps, hours, memory by ZeRO stage. Starts nothing.

A sample: show_training_plan(Order(recipe="liter-7b"), on="1x8x80")
"""

from __future__ import annotations

from rich.table import Table

from flows.progress.consoles import page
from flows.progress.text import say, shown
from flows.recipes.missing import missing
from flows.recipes.recipe import Recipe
from flows.recipes.training import cluster_of, student_shape, training_faults
from flows.session import Order, resolve_recipe
from infra.hosting.nodes import nodes as nodes_here
from infra.placement.plan import read_nodes
from infra.training.budget.fit import ZEROS, Cluster, fits, memory_on
from infra.training.budget.memory import GIB
from infra.training.budget.shape import ModelShape
from infra.training.budget.work import hours_of, operations_a_token, work_of


def show_training_plan(
    order: Order, *, on: str | None = None, examples: int = 100_000, tokens_each: float = 720
) -> None:
    """Print it. Raises UsageError where training cannot fit, after all there is to see."""
    recipe = resolve_recipe(order)
    nodes = nodes_here() if on is None else read_nodes(on)
    cluster, shape = cluster_of(nodes), student_shape(recipe)
    model = recipe.models.student.model
    if shape is None:
        say(f"the shape of {model} is not known here (no config.json): memory is not counted")
    else:
        say(f"{model}: {shape.num_parameters / 1e9:.2f}B parameters, {_where(recipe, cluster)}")
    _say_work(recipe, shape, examples=examples, tokens_each=tokens_each)
    if shape is not None:
        page().print(_memory_table(recipe, shape, cluster))
        say("states: DeepSpeed's estimators; activations: Korthikanti et al. 2022, adapted; "
            "allowance: context 2 GiB, fragmentation 8% [ours]")  # fmt: skip
    if faults := training_faults(recipe, nodes):
        raise missing(faults)


def _where(recipe: Recipe, cluster: Cluster) -> str:
    if recipe.train.device == "cpu":
        return f"{recipe.train.num_ranks} ranks on CPU, {recipe.train.zero}"
    size = "" if cluster.gib is None else f" of {cluster.gib:g} GiB"
    return (
        f"{recipe.train.num_ranks} of {cluster.nodes} x {cluster.per_node} GPUs{size}, "
        f"{recipe.train.zero}"
    )


def _say_work(
    recipe: Recipe, shape: ModelShape | None, *, examples: int, tokens_each: float
) -> None:
    config, costs = recipe.train, recipe.estimate
    work = work_of(config, num_examples=examples, tokens_each=tokens_each)
    packed = config.how_batched == "packed"
    of = f"bins of {config.bin_length or config.max_length} tokens" if packed else "examples"
    say(f"{config.num_ranks} ranks x {config.per_rank_batch_size} x {config.accumulation} "
        f"accumulated = {config.batch_size} {of} a step, about {work.examples_a_step:,.0f} "
        f"examples and {work.tokens_a_step / 1e6:.1f}M tokens")  # fmt: skip
    say(f"assumed: {examples:,} examples of {tokens_each:g} tokens (--examples, "
        f"--tokens-per-example), {work.num_held_out:,} held out")  # fmt: skip
    say(f"{work.tokens_an_epoch / 1e6:.1f}M tokens an epoch, {work.tokens / 1e6:.1f}M in all; "
        f"{work.steps} steps, the first {work.warmup_steps} warm-up")  # fmt: skip
    if shape is None or config.device == "cpu":
        return
    each = operations_a_token(config, shape.num_parameters, shape=shape, tokens_each=tokens_each)
    hours = hours_of(
        each * work.tokens, num_gpus=config.num_ranks, peak_tflops=costs.peak_tflops,
        utilization=costs.train_utilization,
    )  # fmt: skip
    say(f"{hours:.2f} hours, {hours * config.num_ranks:.1f} GPU hours at {costs.peak_tflops:g} "
        f"TFLOP/s x {costs.train_utilization:g} (estimate.peak_tflops, train_utilization)"
        )  # fmt: skip


def _memory_table(recipe: Recipe, shape: ModelShape, cluster: Cluster) -> Table:
    table = Table(title="GiB a rank", title_justify="left")
    names = ("stage", "states", "activations", "head", "buffers", "allowance", "all", "node memory")
    for name in (*names, ""):
        table.add_column(name, justify="left" if name in ("stage", "") else "right")
    for zero in ZEROS:
        config = recipe.train.model_copy(update={"zero": zero})
        found = memory_on(shape, config, cluster)
        parts = (found.states, found.activations, found.head, found.buffers, found.allowance)
        table.add_row(
            shown(f"{zero} *" if zero == recipe.train.zero else zero),
            *(f"{part / GIB:.1f}" for part in (*parts, found.total)),
            f"{found.host / GIB:.0f}" if found.host else "",
            "fits" if fits(shape, config, cluster) else "does not fit",
        )
    return table
