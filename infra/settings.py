"""Settings: *where* the factory runs, from the environment (LITECOT_...); in no fingerprint.

A sample: LITECOT_IN_FLIGHT=512 LITECOT_CORPUS=/data/corpus litecot run liter-7b
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.errors import UsageError


class Settings(BaseSettings):
    """One field a variable; defaults work on a laptop."""

    model_config = SettingsConfigDict(env_prefix="LITECOT_", extra="ignore")

    corpus: str = Field(default="corpus", description="corpus: a folder or s3://bucket/path")
    home: Path = Field(default=Path(".litecot"), description="Prefect's database and caches")
    journals: Path | None = Field(
        default=None, description="where corpora in buckets have their journals; <home>/journals"
    )
    cache: Path = Field(
        default=Path("~/.cache/litecot"),
        description="what this machine has checked of corpora, and models it has made",
    )
    ui_port: int = Field(default=4200, ge=1, le=65535, description="port of `make ui`")
    in_flight: int = Field(default=256, ge=1, description="records of one stage and shard at once")
    shards_at_once: int = Field(default=4, ge=1, description="shards that move at once")
    placement: Literal["auto", "together", "turns"] = Field(
        default="auto", description="whether models stay loaded together or take turns"
    )
    max_attempts: int = Field(default=6, ge=1, description="tries of one request")
    outage_s: float = Field(
        default=900, ge=0, description="wait for an endpoint that was there and is gone; 0: none"
    )
    gpu_pool: str = Field(
        default="",
        pattern=r"^[\w.-]*$",
        description="name of GPUs that runs share: they take turns (docs/cockpit.md)",
    )
    scale_up_after_s: float = Field(
        default=10, ge=0, description="wait of a request that starts one more replica"
    )
    scale_down_after_s: float = Field(
        default=120, ge=0, description="idle time that ends a replica above the minimum"
    )
    keep_warm_s: float = Field(
        default=0,
        ge=0,
        description="idle time that engines outlive their run by, in a Ray cluster that stands",
    )
    train_wait_s: float = Field(
        default=600, gt=0, description="wait of training ranks for room in a Ray cluster"
    )
    train_failures: int = Field(
        default=3, ge=0, description="losses of a worker or node that one training goes on after"
    )
    train_threads: int | None = Field(
        default=None,
        ge=1,
        description="threads of a training rank on a CPU; unset: its share of the cores",
    )
    grader_processes: int = Field(default=1, ge=1, description="processes that verify answers")
    sql_memory_gib: float = Field(
        default=4, gt=0, description="memory of one `litecot sql`; ten times as much on disk"
    )
    keep_env: str = Field(
        default="", description="more variables for engines and ranks, by name (infra.environment)"
    )
    answer_timeout_s: float = Field(default=5.0, gt=0, description="limit of one verification")

    @property
    def journal_folder(self) -> Path:
        return self.journals or self.home / "journals"


class SettingsError(UsageError):
    """An environment variable cannot be used; one line naming it."""


def load_settings() -> Settings:
    """From the environment. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"LITECOT_{'_'.join(str(part) for part in fault['loc'])}".upper()
        raise SettingsError(f"{name}={fault['input']!r}: {fault['msg']}") from None
