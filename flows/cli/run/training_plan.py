"""`litecot train RECIPE --plan`: batch, steps, hours, memory by ZeRO stage. Starts nothing.

A sample: show_training_plan(Order(recipe="liter-7b"), on="1x8x80")
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from flows.costs.expected import Expected, Inputs, Observed
from flows.costs.observed import know_inputs
from flows.costs.stored import known_examples
from flows.progress.consoles import page
from flows.progress.text import say, shown
from flows.recipes.assumptions import Assumptions
from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe
from flows.recipes.training import (
    cluster_of,
    recipe_that_trains,
    settings_words,
    student_shape,
    training_fault,
)
from flows.session import Order, resolve_recipe
from infra.engines import ModelFilesError
from infra.hosting.nodes import nodes as nodes_here
from infra.placement.plan import read_nodes
from infra.training.budget.fit import Cluster, Layout, best, layouts, most_ranks
from infra.training.budget.memory import CONTEXT, GIB, fragmentation
from infra.training.budget.shape import ModelShape
from infra.training.budget.work import hours_of, operations_a_token, work_of
from infra.training.config import TrainConfig
from tasks.errors import UsageError
from tasks.intake.sources import IngestError

EXAMPLES, TOKENS_EACH = 100_000, 720  # LiteCoT's data set: rows, and tokens of a rewritten chain
BY_DEEPSPEED = "states: DeepSpeed's own estimators"
BY_US = (
    "states: weights, float32 gradients, 12 bytes of optimizer a learnt parameter; shared as"
    " DeepSpeed's estimators have it, which know only all weights in 16 bits"
)
HOW_COUNTED = (
    "activations, bytes a token and layer: 2 (4 h + 2 w h) of norms + 2 w (q + k) of attention"
    " + 4 w i of the MLP, w = {width} bytes; with checkpointing w h, and one layer as before"
    " (Korthikanti et al. 2022, adapted; attention by kernels that keep no scores)",
    "and in all: the loss in tiles, buckets, gathered layers, a context of {context:g} GiB,"
    " {share:.0%} of all for fragmentation [ours]",
)


@dataclass(frozen=True, kw_only=True)
class Data:
    """What will be trained on, and whence that is known."""

    num_examples: int
    tokens_each: float
    whence: str


def show_training_plan(
    order: Order, *, on: str | None = None, examples: int | None = None,
    tokens_each: int | None = None,
) -> None:  # fmt: skip
    """Print it. Raises UsageError where training cannot fit, after all there is to see."""
    nodes = nodes_here() if on is None else read_nodes(on)
    recipe = recipe_that_trains(resolve_recipe(order))
    cluster, shape = cluster_of(nodes), student_shape(recipe)
    model = recipe.models.student.model
    size = "" if shape is None else f", {_parameters(shape)} parameters,"
    say(f"{model}{size} on {_cluster_words(recipe.train, cluster)}")
    data = _data(recipe, order.corpus, examples=examples, tokens_each=tokens_each)
    _say_work(recipe.train, data)
    if shape is None:
        say(f"memory: not counted, for the shape of {model} is not known here (no config.json)")
        return
    found = layouts(shape, recipe.train, cluster)
    _say_time(recipe, shape, data, found, cluster=cluster)
    page().print(_layout_table(recipe, found))
    _say_how_counted(recipe.train)
    if fault := training_fault(recipe, nodes):
        raise UsageError(fault.lines)


def _say_how_counted(config: TrainConfig) -> None:
    width = 2 if config.dtype == "bfloat16" else 4
    is_estimated = config.device == "gpu" and width == 2 and config.lora is None
    told = {"width": width, "context": CONTEXT[config.device] / GIB, "share": fragmentation(config)}
    for line in (BY_DEEPSPEED if is_estimated else BY_US, *HOW_COUNTED):
        say(line.format(**told))
    if config.how_batched != "packed":
        say(f"counted is the worst: examples of {config.max_length} tokens each (train.max_length)")


def _parameters(shape: ModelShape) -> str:
    count = shape.num_parameters
    return f"{count / 1e9:.2f}B" if count >= 1e9 else f"{count / 1e6:.1f}M"


def _cluster_words(config: TrainConfig, cluster: Cluster) -> str:
    host = "" if cluster.host_gib is None else f" and {cluster.host_gib:.0f} GiB of memory"
    if config.device == "cpu":
        return f"CPU, a machine{host.replace(' and', ' of')}"
    if not cluster.num_gpus:
        return "a machine without a GPU (--on 1x8x80 plans for 8 of 80 GiB)"
    nodes = "1 machine" if cluster.nodes == 1 else f"{cluster.nodes} machines, each"
    gpus = "1 GPU" if cluster.per_node == 1 else f"{cluster.per_node} GPUs"
    size = "" if cluster.gib is None else f" of {cluster.gib:g} GiB"
    return f"{nodes} with {gpus}{size}{host}"


def _data(recipe: Recipe, corpus: str, *, examples: int | None, tokens_each: int | None) -> Data:
    """As told, else as the corpus has it, else assumed."""
    known = _known_data(recipe, corpus)
    if examples is None and tokens_each is None:
        return known
    return Data(
        num_examples=examples or known.num_examples,
        tokens_each=tokens_each or known.tokens_each,
        whence="as told",
    )


def _known_data(recipe: Recipe, corpus: str) -> Data:
    try:
        found = known_examples(corpus, draft_plan(recipe), recipe.estimate)
        if found is not None:
            return Data(num_examples=found[0], tokens_each=found[1], whence=f"as {corpus} has them")
        inputs = know_inputs(recipe)
    except (ModelFilesError, IngestError):  # its files are elsewhere
        inputs = Inputs()
    if inputs.num_problems is not None and "mix" in recipe.stages:
        count, tokens = Expected(recipe, inputs, Observed()).training_data()
        whence = "estimated from the problems, as `litecot run --plan` does"
        return Data(num_examples=round(count), tokens_each=tokens, whence=whence)
    whence = "assumed: --examples, --tokens-per-example"
    return Data(num_examples=EXAMPLES, tokens_each=TOKENS_EACH, whence=whence)


def _say_work(config: TrainConfig, data: Data) -> None:
    work = work_of(config, num_examples=data.num_examples, tokens_each=data.tokens_each)
    is_packed = config.how_batched == "packed"
    length = config.bin_length or config.unset_bin_length
    of = f"bins of {length} tokens" if is_packed else "examples"
    about = f"about {work.examples_a_step:,.0f} examples, " if is_packed else ""
    say(f"batch: {_batch_words(config)} = {config.batch_size} {of} a step; {about}"
        f"{_tokens(work.tokens_a_step)} tokens")  # fmt: skip
    say(f"data: {data.num_examples:,} examples of {data.tokens_each:.0f} tokens, prompt included "
        f"({data.whence}); {work.num_held_out:,} of them held out")  # fmt: skip
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    cuts = [name for name in ("max_steps", "max_tokens") if getattr(config, name) is not None]
    cut = "".join(f" (train.{name})" for name in cuts)
    say(f"work: {epochs} of {_tokens(work.tokens_an_epoch)} tokens, {_tokens(work.tokens)} in all; "
        f"{work.steps:,} steps{cut}, the first {work.warmup_steps:,} warm-up")  # fmt: skip


def _batch_words(config: TrainConfig) -> str:
    ranks = "1 rank" if config.num_ranks == 1 else f"{config.num_ranks} ranks"
    each = "bin" if config.how_batched == "packed" else "example"
    size = config.per_rank_batch_size
    return f"{ranks} x {size} {each}{'s' if size > 1 else ''} x {config.accumulation} accumulated"


def _say_time(
    recipe: Recipe, shape: ModelShape, data: Data, found: list[Layout], *, cluster: Cluster
) -> None:
    config, costs = recipe.train, recipe.estimate
    if config.device == "cpu":
        say("time: not estimated on CPU; the run says after its first steps")
        return
    hours = _hours(config, shape, data, costs)
    offloads = "; what is offloaded goes over the bus besides" if _offloads(config) else ""
    gpus = "1 GPU" if config.num_ranks == 1 else f"{config.num_ranks} GPUs"
    say(f"time: {_duration(hours)} on {gpus}, {hours * config.num_ranks:.2g} GPU hours, at "
        f"{costs.peak_tflops:g} TFLOP/s x {costs.train_utilization:g} (estimate.peak_tflops, "
        f"estimate.train_utilization){offloads}")  # fmt: skip
    idle = cluster.num_gpus - config.num_ranks
    if idle <= 0:
        return
    fastest, most = best(found, config), most_ranks(config, cluster)
    told = f"idle: {idle} of {cluster.num_gpus} GPUs"
    if fastest is not None and fastest.config.num_ranks > config.num_ranks:
        rest = cluster.num_gpus - fastest.config.num_ranks
        left = f"; {rest} stay idle" if rest else ""
        sooner = _hours(fastest.config, shape, data, costs)
        told += (f"; the same batch on {fastest.config.num_ranks}, {_duration(sooner)}{left}: "
                 f"{settings_words(fastest)}")  # fmt: skip
    elif most == config.num_ranks:
        told += f"; no more of them can share a batch of {config.batch_size} evenly"
    say(told)


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.2g} hours"
    return f"{hours * 60:.0f} minutes" if hours * 60 >= 1.5 else "about a minute, or less,"


def _offloads(config: TrainConfig) -> bool:
    return config.zero == "zero3-offload" and config.device == "gpu"


def _hours(config: TrainConfig, shape: ModelShape, data: Data, costs: Assumptions) -> float:
    work = work_of(config, num_examples=data.num_examples, tokens_each=data.tokens_each)
    each = operations_a_token(
        config, shape.num_parameters, shape=shape, tokens_each=data.tokens_each
    )
    return hours_of(
        each * work.tokens, num_gpus=config.num_ranks, peak_tflops=costs.peak_tflops,
        utilization=costs.train_utilization,
    )  # fmt: skip


def _layout_table(recipe: Recipe, found: list[Layout]) -> Table:
    """A row a layout, the recipe's own marked."""
    unit = "bins" if recipe.train.how_batched == "packed" else "examples"
    table = Table(
        title=f"ranks x {unit} x accumulated that reach {recipe.train.batch_size}; GiB a rank",
        title_justify="left", caption=_caption(found), caption_justify="left", box=SIMPLE_HEAD,
        collapse_padding=True, pad_edge=False,
    )  # fmt: skip
    for name in ("stage", "layout", "states", "activ.", "all", "machine", "fits"):  # 80 columns
        is_text = name in ("stage", "fits")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=name != "fits")
    for one in found:
        config, memory = one.config, one.memory
        table.add_row(
            shown(config.zero + ("" if one.changes else " *")),
            f"{config.num_ranks} x {config.per_rank_batch_size} x {config.accumulation}",
            *(f"{part / GIB:.1f}" for part in (memory.states, memory.activations, memory.total)),
            f"{one.host_wanted / GIB:.0f}" if one.host_wanted else "",
            _verdict(one),
        )
    return table


def _caption(found: list[Layout]) -> str:
    notes = ["* as the recipe has it"] if any(not one.changes for one in found) else []
    offloading = [one for one in found if one.host_wanted]
    if offloading and offloading[0].cluster.host_gib is None:
        notes.append("machine: memory each must have for what is offloaded; --on 1x8x80+1024 says "
                     "what it has")  # fmt: skip
    return "\n".join(notes)


def _verdict(one: Layout) -> str:
    if one.missing_gpus:
        return "no GPU here"
    if one.free is not None and one.free < 0:
        return f"no, {-one.free / GIB:.1f} over"
    if one.host_free is not None and one.host_free < 0:
        return f"no, the machine lacks {-one.host_free / GIB:.0f}"
    return "yes" if one.free is None else f"yes, {one.free / GIB:.1f} free"


def _tokens(count: float) -> str:
    return f"{count / 1e6:,.1f}M" if count >= 1e5 else f"{count:,.0f}"
