"""What a recipe says of forecasts: `[forecast]`, which decides no row of a stage.

Invariant: it is in no fingerprint and in no run's identity.

A sample: ForecastConfig(min_models=8, level=0.9)
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ForecastConfig(BaseModel):
    """What a forecast needs and promises. Both numbers are ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_models: int = Field(
        default=8, ge=4, description="evaluated students whose training differs; fewer: no forecast"
    )
    level: float = Field(
        default=0.9, ge=0.5, le=0.99, description="share of truths that an interval is to hold"
    )
