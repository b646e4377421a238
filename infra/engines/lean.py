"""transformers without scikit-learn, which it has for assisted decoding and nothing else.

Role: what hosts or trains a model calls this before it imports transformers: a second and 100 MB
less in every engine and every rank. Invariant: scikit-learn itself can be imported afterwards, as
forecasts do.
"""

from __future__ import annotations

import sys


def leave_out_sklearn() -> None:
    """Has transformers look for scikit-learn while it is not to be found; it looks once."""
    if "sklearn" in sys.modules:
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        from transformers.utils.import_utils import is_sklearn_available

        is_sklearn_available()
    finally:
        del sys.modules["sklearn"]
