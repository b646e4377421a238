"""Keeps the writers of other machines out of a corpus on an object store: the object `_lock`.

Role: what an flock is on one machine. Invariants: the object is only ever replaced by a conditional
write, so of two writers one is refused; who lost it stops; ages are told by the server's clock, so
no machine's clock matters. The manifest is replaced conditionally too (infra/storage/s3/store.py):
a claim taken over by mistake costs somebody a stopped run, never a row.

    {"token": "5c...", "beat": 3, "journal": "5f0c...", "host": "node3", "pid": 4711,
     "folder": "/data/.litecot/journals/bucket-3fa2c19b04d1", "since": "2026-01-02T03:04:05+00:00"}
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.storage.errors import CorpusBusyError, CorpusError
from infra.storage.s3.bucket import Bucket, Found, ReplacedError
from infra.storage.store import LOCK

EXPIRES_S = 600.0  # a claim without a sign of life for so long may be taken over
BEATS = 10  # signs of life in that time
STOP_S = 20.0  # a sign of life under way may take so long
FREE = b"{}"

log = logging.getLogger("litecot.storage")


class Claim:
    """Held from construction to `release`. Raises CorpusError where another machine holds it."""

    def __init__(
        self, bucket: Bucket, *, journal: str, folder: Path, expires_s: float = EXPIRES_S
    ) -> None:
        self._bucket, self._expires_s = bucket, expires_s
        self._told: dict[str, Any] = {
            "token": secrets.token_hex(8), "beat": 0, "journal": journal, "folder": str(folder),
            "host": socket.gethostname(), "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        self._fault: str | None = None
        self._etag = self._take()
        self._prove()
        self._ending = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="litecot-claim", daemon=True)
        self._beating.start()

    def assert_held(self) -> None:
        """Raises CorpusError once another machine has taken over."""
        if self._fault:
            raise CorpusError(self._fault)

    def release(self) -> None:
        """Let others in; leaves alone what another one holds by now."""
        self._ending.set()
        self._beating.join(STOP_S)
        if self._fault or self._beating.is_alive():
            return
        try:
            self._bucket.put_if(LOCK, FREE, etag=self._etag)
        except (CorpusError, ReplacedError) as error:  # same machine: at once; others: it expires
            log.warning("%s: the lock is left behind: %s", self._bucket.url, error)

    def _take(self) -> str:
        found = self._bucket.get(LOCK)
        if found and (holder := self._holder(found)):
            raise CorpusBusyError(f"{self._bucket.url}: {self._refusal(holder, found.age_s)}")
        try:
            return self._bucket.put_if(LOCK, self._signed(), etag=found.etag if found else None)
        except ReplacedError:
            raise CorpusBusyError(
                f"{self._bucket.url}: another writer has just begun; wait for it or stop it"
            ) from None

    def _holder(self, found: Found) -> dict[str, Any] | None:
        """Who has to be respected; not a dead process of this machine, whose journal we opened."""
        try:
            holder = dict(json.loads(found.content))
        except ValueError:
            url = f"{self._bucket.url}/{LOCK}"
            raise CorpusError(
                f"{url}: is no lock of ours; remove it, or pass another --corpus"
            ) from None
        is_ours = holder.get("journal") in (None, self._told["journal"])
        if not is_ours and found.age_s >= self._expires_s:
            log.warning(
                "%s: taken over from process %s on %s, silent for %.0f minutes; what it had "
                "finished and not uploaded is in its journal in %s",
                self._bucket.url, holder["pid"], holder["host"], found.age_s / 60, holder["folder"],
            )  # fmt: skip
            return None
        return None if is_ours else holder

    def _refusal(self, holder: dict[str, Any], age_s: float) -> str:
        free_in_s = max(1.0, self._expires_s - age_s)
        return (
            f"is being written by process {holder['pid']} on {holder['host']}, since "
            f"{holder['since']}, last sign of life {age_s:.0f} s ago; wait for it or stop it (if "
            f"it was killed, go on there, where its journal is: {holder['folder']}; if that "
            f"machine is lost, try again in {free_in_s:.0f} s), or pass another --corpus"
        )

    def _prove(self) -> None:
        """A store that ignores conditions would let two writers overwrite each other."""
        try:
            self._bucket.put_if(LOCK, self._signed(), etag='"0"')
        except ReplacedError:
            return
        raise CorpusError(
            f"{self._bucket.url}: {self._bucket.endpoint} ignores conditional writes (If-Match), "
            "so a second writer could not be refused; use a store that honours them"
        )

    def _signed(self) -> bytes:
        """Every time other bytes: equal ETags have to mean the same write."""
        self._told["beat"] += 1
        return json.dumps(self._told).encode()

    def _beat(self) -> None:
        while not self._ending.wait(self._expires_s / BEATS):
            try:
                self._etag = self._bucket.put_if(LOCK, self._signed(), etag=self._etag)
            except ReplacedError:
                self._fault = taken_over(self._bucket.url)
                return
            except CorpusError as error:  # it may pass; if not, the manifest cannot go up either
                log.info("%s: no sign of life given: %s", self._bucket.url, error)


def claimant(found: Found, expires_s: float) -> str | None:
    """Who holds a claim, in words; None: nobody who gave a sign of life."""
    try:
        told = dict(json.loads(found.content))
    except ValueError:
        return None
    if "pid" not in told or found.age_s >= expires_s:
        return None
    return f"process {told['pid']} on {told['host']}, since {told['since']}"


def taken_over(url: str) -> str:
    """What a writer says that is not the one any more."""
    return (
        f"{url}: another writer has taken over, so this one stops; what it finished and had not "
        "uploaded stays in its journal here, and comes in when this machine writes again"
    )
