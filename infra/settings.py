"""Settings: *where* the factory runs, from the environment (LITECOT_...); in no fingerprint.

A sample: LITECOT_IN_FLIGHT=512 LITECOT_CORPUS=/data/corpus litecot run liter-7b
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One field a variable; defaults work on a laptop."""

    model_config = SettingsConfigDict(env_prefix="LITECOT_", extra="ignore")

    corpus: Path = Field(default=Path("corpus"), description="corpus folder")
    home: Path = Field(default=Path(".litecot"), description="Prefect's database and caches")
    ui_port: int = Field(default=4200, ge=1, le=65535, description="port of `make ui`")
    in_flight: int = Field(default=256, ge=1, description="records of one stage and shard at once")
    shards_at_once: int = Field(default=4, ge=1, description="shards that move at once")
    max_attempts: int = Field(default=6, ge=1, description="tries of one request")
    grader_processes: int = Field(default=1, ge=1, description="processes that verify answers")
    answer_timeout_s: float = Field(default=5.0, gt=0, description="limit of one verification")


class SettingsError(ValueError):
    """An environment variable cannot be used; one line naming it."""


def load_settings() -> Settings:
    """From the environment. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"LITECOT_{'_'.join(str(part) for part in fault['loc'])}".upper()
        raise SettingsError(f"{name}={fault['input']!r}: {fault['msg']}") from None
