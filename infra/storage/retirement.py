"""How long a part that a compaction replaced stays for readers who still list it.

Invariant: at least `grace_s` and not for ever, whatever clocks do: what this process retires waits
by its steady clock; what earlier ones retired waits the rest of its time by the shared clock, at
most `grace_s` where that clock was set back.
"""

from __future__ import annotations

import time
from dataclasses import replace

from infra.storage.manifest import Manifest, Retired


class Retirement:
    """The replaced parts of one open corpus."""

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._due: dict[str, float] = {}  # file -> steady clock, seconds

    def begin(self, manifest: Manifest, *, now: float) -> Manifest:
        """Take over what earlier writers retired; a time still to come counts as `now`."""
        retired = tuple(replace(gone, at=min(gone.at, now)) for gone in manifest.retired)
        for gone in retired:
            left_s = max(0.0, self._grace_s - (now - gone.at))
            self._due[gone.file] = time.monotonic() + left_s
        return replace(manifest, retired=retired)

    def over(self, manifest: Manifest) -> list[Retired]:
        """Those that waited long enough."""
        now = time.monotonic()
        for gone in manifest.retired:
            self._due.setdefault(gone.file, now + self._grace_s)
        return [gone for gone in manifest.retired if self._due[gone.file] <= now]
