"""An upgrade costs nobody anything: what is hashed, and every shipped recipe's fingerprints."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from flows.recipes.loading import load_recipe, shipped_recipes
from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe
from infra.runs.fingerprints import always_hashed, decisive_settings, stage_fingerprint
from tasks.generate import GenerateConfig
from tasks.stage import StageConfig

GOLDEN = tomllib.loads(Path(__file__).with_name("fingerprints.toml").read_text(encoding="utf-8"))


def fingerprint(config: BaseModel, **more: Any) -> str:
    return stage_fingerprint("generate", config, models={"teacher": "t"}, **more)


def test_every_shipped_recipe_is_in_the_golden_file() -> None:
    assert set(GOLDEN) == set(shipped_recipes())


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_an_upgrade_changes_no_fingerprint(name: str) -> None:
    """Where one has to change, raise `Stage.revision`, say so in CHANGELOG.md (users pay for these
    rows again) and put the new fingerprint into fingerprints.toml."""
    plan = draft_plan(load_recipe(name))
    assert {"run": plan.run_id, **plan.fingerprints} == GOLDEN[name]


class Later(GenerateConfig):
    """GenerateConfig as a later version has it."""

    best_of: int = 1
    tags: tuple[str, ...] = ()
    nested: GenerateConfig = Field(default=GenerateConfig())


def test_a_setting_added_later_changes_nothing_until_it_is_used() -> None:
    assert fingerprint(Later()) == fingerprint(GenerateConfig())
    assert fingerprint(Later(best_of=1, tags=())) == fingerprint(GenerateConfig())
    assert fingerprint(Later(best_of=2)) != fingerprint(GenerateConfig())
    assert fingerprint(Later(tags=("a",))) != fingerprint(GenerateConfig())
    other = GenerateConfig(temperature=0.1)
    assert fingerprint(Later(nested=other)) != fingerprint(GenerateConfig())


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=3, max_size=8).filter(lambda n: n not in dir(StageConfig)),
        st.one_of(st.integers(), st.text(), st.booleans(), st.none()),
        max_size=5,
    ),
    st.data(),
)
def test_of_settings_nobody_hashed_before_only_changed_ones_count(
    defaults: dict[str, Any], data: st.DataObject
) -> None:
    fields: dict[str, Any] = {name: (Any, default) for name, default in defaults.items()}
    model = create_model("Mine", __base__=StageConfig, **fields)
    changed = data.draw(st.sets(st.sampled_from(sorted(defaults)))) if defaults else set()
    config = model(**{name: ["another value"] for name in changed})
    assert set(decisive_settings(config, table="mine")) == changed


def test_what_was_hashed_always_is_hashed_at_its_default_too() -> None:
    assert decisive_settings(GenerateConfig(), table="generate") == json.loads(
        GenerateConfig().model_dump_json()
    )


def test_always_hashed_is_closed_and_names_settings_that_exist() -> None:
    def keys(model: type[BaseModel], prefix: str = "") -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            found.add(f"{prefix}{name}")
            for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    found |= keys(part, f"{prefix}{name}.")
        return found

    assert always_hashed() <= keys(Recipe)
    assert len(always_hashed()) == 232


def test_revision_models_prompts_and_plug_ins_are_hashed() -> None:
    plain = fingerprint(GenerateConfig())
    assert fingerprint(GenerateConfig(), revision=1) != plain
    assert fingerprint(GenerateConfig(), sources=["0123"]) != plain
    assert fingerprint(GenerateConfig(), sources=["0123"]) != fingerprint(
        GenerateConfig(), sources=["4567"]
    )


def test_the_whole_recipe_is_kept_beside_what_identifies_the_run() -> None:
    plan = draft_plan(load_recipe("nano"))
    settings = json.loads(plan.settings)
    identity = json.loads(plan.resolved)["recipe"]
    assert settings["generate"] == identity["generate"]
    assert settings.keys() >= identity.keys()


def test_the_same_batches_on_other_devices_make_the_same_model() -> None:
    def trained(*overrides: str) -> str:
        same = ("train.batching='packed'", "train.dtype='float32'")
        recipe = load_recipe("liter-7b", overrides=(*same, *overrides))
        return draft_plan(recipe).fingerprints["train"]

    eight = "train.global_batch_size=8"
    one = trained(eight, "train.num_ranks=8", "train.per_rank_batch_size=1")
    assert one == trained(eight, "train.num_ranks=2", "train.per_rank_batch_size=2")
    assert one == trained(eight, "train.num_ranks=1", "train.zero='zero2'", "train.device='cpu'",
                          "train.checkpoint_every_s=5")  # fmt: skip
    single = ("train.num_ranks=8", "train.per_rank_batch_size=1")
    assert one != trained("train.global_batch_size=16", *single)
    assert one != trained(eight, *single, "train.batching='random'")
