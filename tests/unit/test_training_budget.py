"""What training takes and whether it fits: against DeepSpeed, published sizes, properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.recipes.loading import load_recipe
from flows.recipes.recipe import Recipe
from flows.recipes.training import (
    cluster_of,
    remedy_words,
    settings_words,
    student_shape,
    training_fault,
)
from infra.placement.plan import PlacementError, read_nodes
from infra.training.budget.fit import (
    HOST_SHARE,
    ZEROS,
    Cluster,
    best,
    layout_of,
    layouts,
    most_ranks,
    remedies,
)
from infra.training.budget.memory import GIB, activation_bytes, memory_of
from infra.training.budget.shape import ModelShape, read_shape
from infra.training.budget.work import operations_a_token, work_of
from infra.training.config import TrainConfig

PUBLISHED = {  # parameters, as the model cards have them
    "liter-1.5b": 1.54e9, "liter-7b": 7.61e9, "liter-14b": 14.7e9, "liter-32b": 32.5e9,
}  # fmt: skip
SIZES = sorted(PUBLISHED)
BATCH = 256  # of the paper's repository on 8 GPUs


def shape(recipe: str | Recipe) -> ModelShape:
    found = student_shape(load_recipe(recipe) if isinstance(recipe, str) else recipe)
    assert found is not None
    return found


def cluster(text: str) -> Cluster:
    return cluster_of(read_nodes(text))


# --- sizes


@pytest.mark.parametrize("name", SIZES)
def test_shipped_shapes_have_the_published_parameters(name: str) -> None:
    assert shape(name).num_parameters == pytest.approx(PUBLISHED[name], rel=0.01)


@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("llama", False), ("qwen2", True)])
def test_parameters_are_those_of_the_model_itself(kind: str, tied: bool) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        kind, vocab_size=90, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
        num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=tied,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    found = read_shape(config.to_dict())
    assert found is not None
    assert found.num_parameters == sum(weight.numel() for weight in model.parameters())


def test_what_is_no_dense_decoder_is_not_counted() -> None:
    dense = {
        "num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2,
    }  # fmt: skip
    assert read_shape(dense) is not None
    assert read_shape({**dense, "num_experts": 8}) is None
    assert read_shape({"num_hidden_layers": 2}) is None


@pytest.mark.parametrize("name", SIZES)
def test_states_are_deepspeeds_own_estimate(name: str) -> None:
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as of_zero3
    from deepspeed.runtime.zero.stage_1_and_2 import (
        estimate_zero2_model_states_mem_needs as of_zero2,
    )

    recipe = load_recipe(name)
    one, config = shape(recipe), recipe.train
    params, largest = one.num_parameters, one.largest_module
    _, gpu2 = of_zero2(params, num_gpus_per_node=8, num_nodes=1, cpu_offload=False)
    _, gpu3, _ = of_zero3(params, largest, 8, 1, cpu_offload=False, cpu_offload_params=False)
    host, gpu, _ = of_zero3(params, largest, 8, 1, cpu_offload=True, cpu_offload_params=True)
    expected = {"zero2": (gpu2, 0), "zero3": (gpu3, 0), "zero3-offload": (gpu, host)}
    for zero, (on_gpu, on_host) in expected.items():
        found = memory_of(one, config.model_copy(update={"zero": zero}), per_node=8)
        assert (round(found.states), round(found.host)) == (round(on_gpu), round(on_host)), zero


def test_activations_follow_the_formula_term_by_term() -> None:
    """Qwen2.5-7B in bfloat16, one bin of 8192: by hand from the module's docstring."""
    config = load_recipe("liter-7b").train.model_copy(update={"per_rank_batch_size": 1})
    h, i, q, k, layers, w, tokens = 3584, 18944, 3584, 512, 28, 2, 8192
    layer = 2 * (4 * h + 2 * w * h) + 2 * w * (q + k) + 4 * w * i
    back = 3 * w * i + 2 * w * h + (4 + 2 * w) * h
    again = tokens * (layers * w * h + layer + back)
    assert activation_bytes(shape("liter-7b"), config) == again
    kept = config.model_copy(update={"gradient_checkpointing": False})
    assert activation_bytes(shape("liter-7b"), kept) == tokens * (layers * layer + back)


# --- the clusters of the recipes


FITS = {
    ("liter-1.5b", "1x8x80"): True, ("liter-1.5b", "2x8x80"): True, ("liter-1.5b", "1x1x24"): False,
    ("liter-7b", "1x8x80"): True, ("liter-7b", "2x8x80"): True, ("liter-7b", "1x1x24"): False,
    ("liter-14b", "1x8x80"): True, ("liter-14b", "2x8x80"): True, ("liter-14b", "1x1x24"): False,
    ("liter-32b", "1x8x80"): True, ("liter-32b", "2x8x80"): True, ("liter-32b", "1x1x24"): False,
    ("liter-32b", "1x8x80+512"): False, ("liter-32b", "1x8x80+1024"): True,
}  # fmt: skip


@pytest.mark.parametrize(("name", "on"), FITS)
def test_what_fits_and_what_is_refused(name: str, on: str) -> None:
    recipe = load_recipe(name)
    fault = training_fault(recipe, read_nodes(on))
    assert (fault is None) == FITS[name, on]
    for remedy in remedies(shape(recipe), recipe.train, cluster(on)):
        assert remedy.fits
        assert remedy.config.batch_size == BATCH
    if fault is not None:
        assert fault.remedies


@pytest.mark.parametrize(
    ("name", "on", "reason", "first"),
    [
        ("liter-7b", "1x1x24", "training wants 8 GPUs (train.num_ranks), and there is 1",
         "--set train.num_ranks=1 --set train.zero=zero3-offload --set train.per_rank_batch_size=2 "
         "(with 213 GiB of memory in each machine)"),
        ("liter-7b", "1x2x80", "training wants 8 GPUs (train.num_ranks), and there are 2",
         "--set train.num_ranks=2 --set train.zero=zero3-offload "
         "(with 213 GiB of memory in each machine)"),
        ("liter-32b", "1x8x80+512", "training Qwen/Qwen2.5-32B under zero3-offload needs 915 GiB "
         "of memory in each machine, and it has 512 GiB",
         "--set train.lora.rank=8 (adapters instead of all weights)"),
    ],
)  # fmt: skip
def test_a_refusal_says_why_and_what_would_fit(name: str, on: str, reason: str, first: str) -> None:
    fault = training_fault(load_recipe(name), read_nodes(on))
    assert fault is not None
    assert (fault.reason, fault.remedies[0]) == (reason, first)
    assert reason in fault.line
    assert "; or " in fault.line


def test_what_a_remedy_says_can_be_given_back_and_fits() -> None:
    recipe = load_recipe("liter-14b")
    for found in remedies(shape(recipe), recipe.train, cluster("1x1x24")):
        words = settings_words(found)
        given_back = load_recipe("liter-14b", overrides=words.replace("--set ", "").split())
        assert given_back.train == found.config
        assert layout_of(shape(recipe), given_back.train, found.cluster).fits


def test_a_student_that_is_trained_on_all_gpus_is_trained_sooner() -> None:
    recipe = load_recipe("liter-32b")
    found = best(layouts(shape(recipe), recipe.train, cluster("2x8x80")), recipe.train)
    assert found is not None
    assert settings_words(found) == "--set train.num_ranks=16 --set train.zero=zero3"


def test_gpus_that_cannot_share_the_batch_stay_idle() -> None:
    config = load_recipe("liter-7b").train
    assert most_ranks(config, cluster("3x8x80")) == 16
    assert most_ranks(config, cluster("1x7x80")) == 4


def test_a_larger_cluster_is_named_as_on_takes_it() -> None:
    recipe = load_recipe("liter-7b")
    *_, larger = remedies(shape(recipe), recipe.train, cluster("1x1x24"))
    assert remedy_words(larger, cluster("1x1x24")) == "on 1x8x80 as it is"


@pytest.mark.parametrize("text", ["2x8x80+1024", "2x8x80+1024.5"])
def test_the_memory_of_a_machine_goes_behind_a_plus(text: str) -> None:
    assert cluster(text).host_gib == float(text.partition("+")[2])
    assert cluster(text).name.startswith("2x8x80+102")


@pytest.mark.parametrize("text", ["2x8x80+", "2x8x80+0", "2x8x80x1024", "2x8x80+-1"])
def test_a_machine_without_memory_is_no_machine(text: str) -> None:
    with pytest.raises(PlacementError, match="2x8x80\\+1024"):
        read_nodes(text)


# --- properties


shapes = st.builds(
    lambda layers, heads, width, share, mlp, vocabulary: ModelShape(
        layers=layers, hidden=heads * width, intermediate=mlp * heads * width,
        queries=heads * width, keys=max(1, heads // share) * width, vocabulary=vocabulary,
    ),
    st.integers(8, 64), st.integers(8, 64), st.sampled_from([64, 128]), st.integers(1, 8),
    st.integers(2, 5), st.sampled_from([32_000, 152_064]),
)  # fmt: skip
configs = st.builds(
    lambda ranks, size, zero, again, batch, given: TrainConfig(
        num_ranks=ranks, per_rank_batch_size=size, zero=zero, gradient_checkpointing=again,
        global_batch_size=ranks * size * batch if given else None, gradient_accumulation=batch,
    ),
    st.sampled_from([1, 2, 4, 6, 8, 16]), st.integers(1, 6), st.sampled_from(ZEROS),
    st.booleans(), st.integers(1, 12), st.booleans(),
)  # fmt: skip
clusters = st.builds(
    lambda nodes, per_node, gib, host: Cluster(
        nodes=nodes, per_node=per_node, gib=gib, host_gib=host
    ),
    st.integers(1, 4), st.integers(1, 8), st.sampled_from([16, 24, 80, 141]),
    st.sampled_from([None, 64, 512, 2048]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(shapes, configs, clusters)
def test_every_layout_reaches_the_batch_and_is_refused_only_where_it_is_too_large(
    one: ModelShape, config: TrainConfig, there: Cluster
) -> None:
    for found in layouts(one, config, there):
        assert found.config.batch_size == config.batch_size
        assert found.config.num_ranks <= there.num_gpus
        assert there.gib is not None
        host = float("inf") if there.host_gib is None else there.host_gib * GIB * HOST_SHARE
        is_small = found.memory.total <= there.gib * GIB and found.memory.host <= host
        assert found.fits == is_small


@settings(max_examples=40, deadline=None)
@given(shapes, configs, clusters)
def test_every_remedy_fits_and_keeps_the_batch(
    one: ModelShape, config: TrainConfig, there: Cluster
) -> None:
    for found in remedies(one, config, there):
        assert found.fits
        assert found.config.batch_size == config.batch_size
    own = layout_of(one, config, there)
    assert not (own.fits and remedies(one, config, there))


@settings(max_examples=60, deadline=None)
@given(shapes, configs)
def test_more_sharding_and_more_ranks_never_need_more(one: ModelShape, config: TrainConfig) -> None:
    at = {z: memory_of(one, config.model_copy(update={"zero": z}), per_node=8) for z in ZEROS}
    if 2 * one.largest_module <= one.num_parameters:  # else the gathered layer is most of it
        assert at["zero3"].states <= at["zero2"].states
    assert at["zero3-offload"].total <= at["zero3"].total
    assert at["zero3-offload"].host > 0 == at["zero3"].host
    twice = config.model_copy(update={"num_ranks": 2 * config.num_ranks, "global_batch_size": None})
    for zero in ZEROS:
        more = memory_of(one, twice.model_copy(update={"zero": zero}), per_node=8)
        assert more.total <= at[zero].total


@settings(max_examples=40, deadline=None)
@given(shapes, configs, st.integers(2, 4))
def test_longer_bins_never_need_less(one: ModelShape, config: TrainConfig, times: int) -> None:
    longer = config.model_copy(update={"max_length": config.max_length * times})
    assert memory_of(one, longer, per_node=8).total > memory_of(one, config, per_node=8).total


# --- work


def test_steps_are_those_of_whole_batches() -> None:
    config = TrainConfig(num_ranks=2, per_rank_batch_size=4, gradient_accumulation=2, epochs=3,
                         batching="grouped", held_out_examples=0)  # fmt: skip
    work = work_of(config, num_examples=161, tokens_each=10)
    assert (work.steps, work.tokens) == (3 * 11, 3 * 1610)
    assert work_of(config, num_examples=160, tokens_each=10).steps == 3 * 10


def test_held_out_examples_are_not_trained_on() -> None:
    work = work_of(TrainConfig(held_out_examples=1000), num_examples=500, tokens_each=10)
    assert (work.num_held_out, work.num_examples) == (50, 450)


def test_operations_count_what_is_computed_again_and_what_is_frozen() -> None:
    config = TrainConfig()
    again = config.model_copy(update={"gradient_checkpointing": True})
    assert operations_a_token(config, 100) == 600
    assert operations_a_token(again, 100) == pytest.approx(800)
    lora = TrainConfig.model_validate({"lora": {"rank": 8}})
    assert operations_a_token(lora, 100) == 400


def test_offloading_needs_the_machines_memory() -> None:
    recipe = load_recipe("liter-32b")
    there = cluster("1x8x80")
    wanted = layout_of(shape(recipe), recipe.train, there).host_wanted / GIB
    enough, short = (replace(there, host_gib=wanted + more) for more in (1, -1))
    assert layout_of(shape(recipe), recipe.train, enough).fits
    assert not layout_of(shape(recipe), recipe.train, short).fits


def test_a_training_that_ends_by_tokens_is_planned_so() -> None:
    config = TrainConfig(max_tokens=5_000, epochs=3, num_ranks=1, per_rank_batch_size=10,
                         batching="grouped", held_out_examples=0)  # fmt: skip
    work = work_of(config, num_examples=100, tokens_each=50.0)
    assert (work.steps, work.tokens) == (10, 5_000)  # 500 tokens a step
