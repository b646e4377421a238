"""Versions of installed packages, as rows keep them.

A sample: versions("ray", "nothing") == '{"ray": "2.56.0", "nothing": "not installed"}'
"""

from __future__ import annotations

import importlib.metadata
import json

TRAINING = ("torch", "transformers", "trl", "deepspeed", "ray", "accelerate", "peft")


def versions(*packages: str) -> str:
    """Package -> version, JSON; loads none of them."""
    return json.dumps({name: _version(name) for name in packages})


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
