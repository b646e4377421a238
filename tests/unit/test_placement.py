"""What is loaded when and where: together, by turns, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from typer.testing import CliRunner

from flows.cli.main import app
from flows.recipes.loading import load_recipe
from infra.engines import EngineConfig
from infra.engines.engine_type import ModelSize
from infra.engines.model_size import model_size
from infra.placement.footprints import GIB, weights_bytes
from infra.placement.machine import Gpu, ray_node, read_gpus, this_machine
from infra.placement.nodes import Node
from infra.placement.plan import (
    Placement,
    PlacementError,
    PlacementMode,
    StageDemand,
    place,
    read_nodes,
)

LAPTOP = [Node(num_cpus=8, memory_gib=16)]
STAGES = ("generate", "difficulty", "rewrite", "compress", "score", "select", "mix")
ASKS = {
    "generate": "teacher", "difficulty": "teacher", "rewrite": "teacher",
    "compress": "compressor", "score": "student",
}  # fmt: skip


def vllm(model: str, *, parallel: int = 1, **fields: Any) -> EngineConfig:
    options = {"tensor_parallel": parallel, **fields.pop("vllm", {})}
    return EngineConfig(engine="vllm", model=model, vllm=options, **fields)


def demands(*, train_gpus: int | None = None, **models: EngineConfig) -> list[StageDemand]:
    """The corpus' stages, each asking the role it asks if that is given; then training."""
    stages = [
        StageDemand(name=name, models={role: models[role]} if role in models else {})
        for name in STAGES
        for role in [ASKS.get(name, "")]
        if role in models or not role
    ]
    if train_gpus is not None:
        student = {"student": models["student"]}
        stages += [
            StageDemand(name="train", num_gpus=train_gpus, is_alone=True),
            StageDemand(name="evaluate-base", models=student, is_alone=True),
            StageDemand(name="evaluate-trained", models=student, is_alone=True),
        ]
    return stages


def placed(
    nodes: Sequence[Node],
    mode: PlacementMode = "auto",
    *,
    train_gpus: int | None = None,
    **models: EngineConfig,
) -> Placement:
    sizes = {config: model_size(config.model) for config in models.values()}
    stages = demands(train_gpus=train_gpus, **models)
    return place(stages, sizes=sizes, nodes=nodes, mode=mode)


def refusal(*arguments: Any, **models: Any) -> str:
    with pytest.raises(PlacementError) as caught:
        placed(*arguments, **models)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def stages_of(placement: Placement) -> list[tuple[str, ...]]:
    return [phase.stages for phase in placement.phases]


# --- together


def test_models_that_fit_stay_loaded() -> None:
    found = placed(
        read_nodes("1x8x80"),
        teacher=vllm("a/teacher-32B", parallel=4), compressor=vllm("b/compressor-7B"),
        student=vllm("c/student-1.5B", replicas=3),
    )  # fmt: skip
    assert found.mode == "together"
    assert stages_of(found) == [STAGES]
    assert found.words == (
        "teacher a/teacher-32B: 1 replica, on 4 GPUs (vLLM, tensor parallel 4), weights 59.6 GiB",
        "compressor b/compressor-7B: 1 replica, on 1 GPU (vLLM), weights 13.0 GiB",
        "student c/student-1.5B: 3 replicas, each on 1 GPU (vLLM), weights 2.8 GiB",
        "all models stay loaded",
    )


def test_a_group_of_gpus_lies_within_one_node() -> None:
    models = {"teacher": vllm("t-32B", parallel=4), "student": vllm("s-32B", parallel=4)}
    assert placed(read_nodes("2x4x80"), **models).mode == "together"
    four = [Node(num_cpus=8, num_gpus=2, gpu_memory_gib=80) for _ in range(4)]
    assert refusal(four, **models) == (
        "teacher t-32B needs 4 GPUs on one node for tensor parallel 4; the largest node has 2: "
        "set models.teacher.vllm.tensor_parallel = 2"
    )


def test_small_replicas_leave_whole_nodes_to_large_ones() -> None:
    found = placed(
        read_nodes("2x4x80"), teacher=vllm("t-7B", replicas=2),
        compressor=vllm("c-72B", parallel=4), student=vllm("s-32B", parallel=2),
    )  # fmt: skip
    assert found.mode == "together"


def test_equal_models_are_one() -> None:
    same = vllm("x-7B")
    found = placed(read_nodes("1x1x80"), teacher=same, student=same)
    assert found.mode == "together"
    assert found.words[0].startswith("teacher and student x-7B: 1 replica")
    assert found.phases[0].models == (same,)


def test_more_replicas_where_there_is_room_and_no_more() -> None:
    teacher = vllm("t-7B", max_replicas=9)
    found = placed(read_nodes("1x4x80"), teacher=teacher, student=vllm("s-7B"))
    assert found.placed[teacher].max_replicas == 3


def test_a_laptop_hosts_nano_on_its_cpu() -> None:
    recipe = load_recipe("nano").models
    assert recipe.teacher is not None
    found = placed([Node(num_cpus=8, memory_gib=4)], teacher=recipe.teacher, student=recipe.student)
    assert found.mode == "together"
    assert "on the CPU (transformers), weights 6.6 MiB" in found.words[0]
    assert set(found.phases[0].models) == {recipe.teacher, recipe.student}


def test_endpoints_need_nothing() -> None:
    remote = EngineConfig(
        engine="endpoint", model="big", endpoint={"base_url": "http://10.0.0.1/v1"}
    )
    found = placed(LAPTOP, "turns", teacher=remote, student=EngineConfig(model="nano:student"))
    assert found.mode == "together"
    assert found.words[0] == "teacher big: at http://10.0.0.1/v1"
    assert remote in found.phases[0].models


def test_what_is_not_known_is_not_refused() -> None:
    bare = [Node(num_cpus=8, num_gpus=1)]
    assert placed(bare, teacher=vllm("t-72B")).mode == "together"
    words = placed(read_nodes("1x1x8"), teacher=vllm("phi")).words
    assert words == ("teacher phi: 1 replica, on 1 GPU (vLLM), size not known, not counted",)


# --- by turns


def test_the_stages_take_turns_where_models_do_not_fit_together() -> None:
    found = placed(
        read_nodes("1x4x80"), teacher=vllm("t-32B", parallel=4),
        compressor=vllm("c-72B", parallel=4), student=vllm("s-7B"),
    )  # fmt: skip
    assert found.mode == "turns"
    assert stages_of(found) == [
        ("generate", "difficulty", "rewrite"), ("compress",), ("score", "select", "mix")
    ]  # fmt: skip
    assert [phase.models[0].model for phase in found.phases] == ["t-32B", "c-72B", "s-7B"]
    assert found.words[-1] == (
        "9 GPUs are asked for and 4 are there: the stages take turns (all shards at each): first "
        "generate, difficulty, rewrite with the teacher, then compress with the compressor, then "
        "score, select, mix with the student"
    )


def test_neighbours_that_fit_together_share_a_turn() -> None:
    found = placed(
        read_nodes("1x4x80"), teacher=vllm("t-72B", parallel=4),
        compressor=vllm("c-7B"), student=vllm("s-7B"),
    )  # fmt: skip
    assert stages_of(found)[1:] == [("compress", "score", "select", "mix")]
    assert {model.model for model in found.phases[1].models} == {"c-7B", "s-7B"}


def test_replicas_that_do_not_even_fit_alone_are_fewer() -> None:
    teacher = vllm("t-32B", parallel=4, replicas=2)
    found = placed(read_nodes("1x4x80"), teacher=teacher)
    assert found.placed[teacher].replicas == 1
    assert found.words[0].endswith("; 2 replicas are asked for and 1 fits")


def test_memory_decides_on_cpu() -> None:
    models = {"teacher": vllm("t-3B"), "student": vllm("s-4B")}
    assert placed([Node(num_cpus=8, memory_gib=24)], **models).mode == "together"
    by_turns = placed(LAPTOP, **models)
    assert by_turns.mode == "turns"
    assert by_turns.words[-1].startswith("the memory does not hold all models at once: the stages")


def test_turns_can_be_asked_for_and_refused() -> None:
    models = {"teacher": vllm("t-7B"), "student": vllm("s-7B")}
    by_turns = placed(read_nodes("1x8x80"), "turns", **models)
    assert [len(phase.models) for phase in by_turns.phases] == [1, 1]
    assert by_turns.words[-1].startswith("LITECOT_PLACEMENT=turns: the stages take turns")
    assert "LITECOT_PLACEMENT=together" in refusal(read_nodes("1x1x80"), "together", **models)


# --- sleep mode


def test_one_gpu_is_shared_by_sleep_mode() -> None:
    teacher, student = vllm("t-14B"), vllm("s-7B")
    found = placed(read_nodes("1x1x80"), teacher=teacher, student=student)
    assert found.mode == "sleep"
    assert all(config.for_vllm.enable_sleep_mode for config in found.placed.values())
    assert found.phases[0].models == (found.placed[teacher],)
    assert "2 GPUs are asked for and 1 is there" in found.words[-1]
    assert "sleep mode" in found.words[0]


def test_engines_asleep_keep_some_of_the_gpu() -> None:
    found = placed(
        read_nodes("1x1x24"), teacher=vllm("t-3B"), compressor=vllm("c-3B"), student=vllm("s-1.5B")
    )
    shares = {config.for_vllm.gpu_memory_utilization for config in found.placed.values()}
    assert [*shares] == pytest.approx([20 / 24])


@pytest.mark.parametrize(
    ("nodes", "student"),
    [
        (read_nodes("1x1x80"), EngineConfig(model="s-7B")),  # an engine that cannot sleep
        (read_nodes("1x2x80"), vllm("s-32B", parallel=2)),  # more than one GPU
        ([Node(num_cpus=8, num_gpus=1, gpu_memory_gib=80, memory_gib=32)], vllm("s-7B")),
    ],
)
def test_without_sleep_mode_models_are_ended(nodes: list[Node], student: EngineConfig) -> None:
    found = placed(nodes, teacher=vllm("t-14B"), student=student)
    assert found.mode == "turns"
    assert not any(config.for_vllm.enable_sleep_mode for config in found.placed.values())


# --- training and evaluation


def test_training_on_gpus_has_them_for_itself() -> None:
    found = placed(
        read_nodes("1x8x80"), train_gpus=8, teacher=vllm("t-7B"), student=vllm("s-7B")
    )  # fmt: skip
    train, base, trained = found.phases[-3:]
    assert (train.stages, train.models) == (("train",), ())
    assert base.models == trained.models == (vllm("s-7B"),)
    assert found.corpus_phases == found.phases[:1]
    assert found.phase_of("evaluate-base") == base
    assert found.words[-1].startswith("after the corpus: train on 8 GPUs with no model loaded, ")


def test_training_on_cpu_keeps_what_evaluation_asks() -> None:
    nano = EngineConfig(model="nano:teacher"), EngineConfig(model="nano:student")
    found = placed(LAPTOP, train_gpus=0, teacher=nano[0], student=nano[1])
    assert found.phase_of("train").models == (nano[1],)


@pytest.mark.parametrize(
    ("nodes", "remedy"),
    [(read_nodes("3x2x80"), "train.num_ranks = 6"), (LAPTOP, "train.device = 'cpu'")],
)
def test_training_that_wants_more_gpus_than_the_nodes_have(nodes: list[Node], remedy: str) -> None:
    student = EngineConfig(model="s-1B")
    assert f"set {remedy}" in refusal(nodes, train_gpus=8, student=student)


def test_training_may_take_the_gpus_of_several_nodes() -> None:
    found = placed(read_nodes("4x2x80"), train_gpus=8, student=vllm("s-7B"))
    assert found.phase_of("train").is_alone


# --- refusals


@pytest.mark.parametrize(
    ("nodes", "teacher", "words"),
    [
        (read_nodes("1x4x24"), vllm("t-32B"),
         "t-32B: its weights alone take 59.6 GiB, a GPU has 24 GiB and the cache needs room too: "
         "set models.teacher.vllm.tensor_parallel = 4"),
        (read_nodes("1x4x24"), vllm("t-72B", parallel=4),
         "134.1 GiB (33.5 on each of 4 GPUs), a GPU has 24 GiB"),
        (read_nodes("1x4x24"), EngineConfig(model="t-32B"), "set models.teacher.engine = 'vllm' and"
         " models.teacher.vllm.tensor_parallel = 4"),
        (read_nodes("1x1x24"), vllm("t-72B", parallel=4), "set models.teacher.vllm.quantization, "
         "or use a smaller model"),
        (read_nodes("1x4x80"), vllm("t-72B", parallel=8), "vllm.tensor_parallel = 4"),
        (LAPTOP, vllm("t-32B"), "would run on CPU, where its weights alone take 59.6 GiB and the "
         "memory is 16 GiB"),
        (LAPTOP, vllm("t-1B", device="cuda"), "wants device 'cuda' and there is no GPU"),
    ],
)  # fmt: skip
def test_what_cannot_fit_says_why_and_what_to_do(
    nodes: list[Node], teacher: EngineConfig, words: str
) -> None:
    message = refusal(nodes, teacher=teacher)
    assert message.startswith("teacher t-")
    assert words in message


def test_a_remedy_works() -> None:
    nodes, teacher = read_nodes("1x4x24"), vllm("t-32B")
    wanted = int(refusal(nodes, teacher=teacher).rpartition("= ")[2])
    assert placed(nodes, teacher=vllm("t-32B", parallel=wanted)).phases


@pytest.mark.parametrize("text", ["8", "2x8", "0x8x80", "1x0x80", "1x8x80x2", "axbxc", ""])
def test_a_cluster_in_words_is_nodes_gpus_and_memory(text: str) -> None:
    with pytest.raises(PlacementError, match="write NODESxGPUSxGIB"):
        read_nodes(text)


# --- the command line


def test_a_plan_for_another_cluster_needs_neither_problems_nor_models_here() -> None:
    done = CliRunner().invoke(app, ["run", "liter-32b", "--plan", "--on", "1x8x80"])
    assert done.exit_code == 0, done.output
    for words in ("evaluate-trained", "DeepSeek-R1-Distill-Qwen-32B", "2 replicas, each on 4 GPUs",
                  "the stages take turns", "train on 8 GPUs"):  # fmt: skip
        assert words in done.stdout


def test_a_plan_that_cannot_be_shows_the_stages_and_the_reason() -> None:
    done = CliRunner().invoke(app, ["run", "liter-32b", "--plan", "--on", "1x1x24"])
    assert done.exit_code == 2
    assert "rewrite" in done.stdout
    assert (
        "teacher deepseek-ai/DeepSeek-R1-Distill-Qwen-32B needs 4 GPUs on one node" in done.stderr
    )
    assert "student Qwen/Qwen2.5-32B needs 2 GPUs" in " ".join(done.stderr.split())  # all at once


def test_a_run_goes_where_it_is_started() -> None:
    done = CliRunner().invoke(app, ["run", "nano", "--on", "1x8x80"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--on goes with --plan" in done.stderr


# --- properties

GPUS = st.integers(0, 8)
NODES = st.lists(
    st.builds(
        Node, num_cpus=st.integers(1, 16), num_gpus=GPUS,
        gpu_memory_gib=st.sampled_from([None, 24.0, 80.0]),
        memory_gib=st.sampled_from([None, 8.0, 64.0, 512.0]),
    ),
    min_size=1, max_size=3,
)  # fmt: skip
MODELS = st.builds(
    lambda name, engine, parallel, replicas, more, device: EngineConfig(
        engine=engine, model=name, replicas=replicas, max_replicas=replicas + more, device=device,
        vllm={"tensor_parallel": parallel} if engine == "vllm" else None,
    ),
    st.sampled_from(["a-1B", "b-7B", "c-32B", "d-72B", "unknown"]),
    st.sampled_from(["vllm", "transformers"]),
    st.sampled_from([1, 2, 4, 8]), st.integers(1, 3), st.integers(0, 2),
    st.sampled_from(["auto", "cpu", "cuda"]),
)  # fmt: skip
MODES: st.SearchStrategy[PlacementMode] = st.sampled_from(["auto", "together", "turns"])


@given(NODES, st.fixed_dictionaries(dict.fromkeys(set(ASKS.values()), MODELS)), MODES)
def test_every_stage_has_its_turn_and_every_turn_fits(
    nodes: list[Node], models: dict[str, EngineConfig], mode: PlacementMode
) -> None:
    try:
        found = placed(nodes, mode, train_gpus=0, **models)
    except PlacementError:
        return  # whether rightly: the test after this
    asked = demands(train_gpus=0, **models)
    assert [name for phase in found.phases for name in phase.stages] == [s.name for s in asked]
    has_gpus = any(node.num_gpus for node in nodes)
    for phase in found.phases:
        needed = {config for s in asked if s.name in phase.stages for config in s.models.values()}
        if phase.stages != ("train",):
            assert set(phase.models) == {found.placed[config] for config in needed}
        most = [config.max_replicas or config.replicas for config in phase.models]
        gpus = [
            config.for_vllm.tensor_parallel * (has_gpus and config.device != "cpu")
            for config in phase.models
        ]
        assert sum(n * g for n, g in zip(most, gpus, strict=True)) <= sum(n.num_gpus for n in nodes)
        assert max(gpus, default=0) <= max(node.num_gpus for node in nodes)
        assert sum(most) <= sum(node.num_cpus for node in nodes)
    for config, now in found.placed.items():
        assert 1 <= now.replicas <= config.replicas


@given(MODELS, NODES)
def test_a_model_alone_is_placed_exactly_where_one_node_holds_it(
    teacher: EngineConfig, nodes: list[Node]
) -> None:
    on_gpu = teacher.device == "cuda" or (
        teacher.device == "auto" and any(node.num_gpus for node in nodes)
    )
    size = model_size(teacher.model)
    weights = weights_bytes(teacher, size, on_gpu=on_gpu) / GIB if size else 0
    parallel = teacher.for_vllm.tensor_parallel

    def holds(node: Node) -> bool:
        if on_gpu:
            room = (node.gpu_memory_gib or 1e9) * 0.9 * 0.9
            return node.num_gpus >= parallel and weights / parallel <= room
        cache = 1 if teacher.engine == "vllm" else 0
        return weights + cache <= (node.memory_gib or 1e9) * 0.9

    if any(holds(node) for node in nodes):
        assert placed(nodes, teacher=teacher).placed
    else:
        assert refusal(nodes, teacher=teacher)


# --- sizes


def save_weights(folder: Path, **config: Any) -> Path:
    import numpy as np

    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {"a": np.zeros((8, 4), np.float16), "b": np.zeros(5, np.float32)},
        folder / "model.safetensors",
    )
    return folder


def test_a_folders_size_is_read_from_its_headers(tmp_path: Path) -> None:
    found = model_size(str(save_weights(tmp_path / "x-7B")))
    assert found == ModelSize(num_parameters=37, stored_bytes=84)
    quantized = model_size(str(save_weights(tmp_path / "q", quantization_config={"bits": 4})))
    assert quantized is not None
    assert quantized.is_quantized


def test_an_index_tells_the_size_of_shards_not_yet_here(tmp_path: Path) -> None:
    save_weights(tmp_path, dtype="bfloat16")
    index = {"metadata": {"total_size": 2000}, "weight_map": {"a": "model-1", "b": "model-2"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert model_size(str(tmp_path)) == ModelSize(num_parameters=1000, stored_bytes=2000)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen2.5-7B", 7), ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1.5),
        ("Qwen/Qwen3-30B-A3B", 30), ("mistralai/Mixtral-8x7B-v0.1", 56), ("x/SmolLM-135M", 0.135),
        ("meta-llama/Llama-3.1-70B-Instruct", 70), ("microsoft/phi-4", None), ("org-7B/base", None),
    ],
)  # fmt: skip
def test_a_hub_ids_size_is_in_its_name(name: str, billions: float | None) -> None:
    found = model_size(name)
    assert (found and found.num_parameters / 1e9) == billions


@pytest.mark.parametrize(
    ("config", "bytes_each"),
    [
        (vllm("x-1B", dtype="float32"), 4), (vllm("x-1B"), 2),
        (vllm("x-1B", vllm={"quantization": "fp8"}), 1),
        (vllm("x-1B", vllm={"quantization": "awq_marlin"}), 0.5),
        (vllm("x-1B-AWQ", dtype="float32"), 0.5),
        (EngineConfig(model="x-1B", dtype="float64"), 8), (EngineConfig(model="x-1B"), 4),
    ],
)  # fmt: skip
def test_weights_take_what_their_precision_takes(config: EngineConfig, bytes_each: float) -> None:
    size = model_size(config.model)
    assert size is not None
    assert weights_bytes(config, size, on_gpu=False) == bytes_each * 1e9


# --- this machine


def test_gpus_are_read_as_the_driver_lists_them() -> None:
    listed = "NVIDIA H100 80GB HBM3, 81920\nNVIDIA GB10, [N/A]\n"
    assert read_gpus(listed) == [
        Gpu(name="NVIDIA H100 80GB HBM3", memory_gib=80.0), Gpu(name="NVIDIA GB10", memory_gib=None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("types", "memory"),
    [(["A100"], 40), (["A100", "A100-80G"], 80), (["H100"], 80), (["GB300"], None), ([], None)],
)
def test_a_node_of_ray_tells_its_gpus_by_their_type(types: list[str], memory: float | None) -> None:
    resources = {"CPU": 64.0, "GPU": 8.0, "memory": 2.0**40}
    resources |= {f"accelerator_type:{name}": 1.0 for name in types}
    assert ray_node({"NodeManagerHostname": "a", "Resources": resources}) == Node(
        name="a", num_cpus=64, num_gpus=8, gpu_memory_gib=memory, memory_gib=1024
    )
    assert ray_node({"NodeManagerHostname": "b", "Resources": {}}) == Node(name="b", num_cpus=0)


def test_this_machine_has_places_for_the_actors_of_nano() -> None:
    node = this_machine()
    assert node.num_cpus >= 2
    assert node.memory_gib is not None
    assert 0.5 < node.memory_gib < 1e5


@pytest.mark.parametrize(
    "text", ["", "2x8", "2x8xnan", "2x8xinf", "0x8x80", "99999999x8x80", "2x8x80x1"]
)
def test_what_is_no_cluster_is_said(text: str) -> None:
    with pytest.raises(PlacementError, match="is no cluster: write NODESxGPUSxGIB"):
        read_nodes(text)
