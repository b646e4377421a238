"""A prefix of a bucket on S3-compatible storage, through boto3, the one client we use.

Invariant: what the service says leaves here as a CorpusError of one line; what may pass (it slows
us down, is down, is not reached) was tried again for a while and is a StoreUnavailableError.

    Bucket("s3://bucket/maths").put_if("_lock", b"{}", etag=None)  ->  '"d41d8cd9..."'
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions as faults
from botocore.config import Config

from infra.storage.checksums import CHUNK_BYTES, checksum_of_chunks
from infra.storage.errors import AGAIN, CorpusError, StoreUnavailableError
from infra.storage.store import Place

ATTEMPTS = 5  # of one request, with doubling pauses: some ten seconds
CONFIG: dict[str, Any] = {"connect_timeout": 10, "read_timeout": 60, "max_pool_connections": 32}
OF_A_ROLE = "iam-role"  # botocore's word for keys that a machine is given
DELETED_TOGETHER = 1000  # the service's limit
ABSENT = {"NoSuchKey", "404"}
REPLACED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409", *ABSENT}
DENIED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
_PASSING = (faults.HTTPClientError, faults.ConnectionError, faults.IncompleteReadError)


class ReplacedError(Exception):
    """A conditional write found something else than what it was to replace."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An object, and by the server's clock: how old it is and what time it was, seconds."""

    content: bytes
    etag: str
    age_s: float
    server_s: float


@dataclass(frozen=True, kw_only=True)
class Listed:
    name: str
    size: int
    etag: str
    modified_s: float  # by the server's clock


class Bucket:
    """Methods may be called from any thread."""

    def __init__(self, url: str) -> None:
        self.name, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        self.url = f"s3://{self.name}/{prefix}".rstrip("/")
        if not self.name:
            raise CorpusError(f"{url}: names no bucket; pass a URL like s3://bucket/prefix")
        self._prefix = f"{prefix}/" if prefix else ""
        self.endpoint = "the object store"
        with self._explained():
            self._s3 = _client()
        self.endpoint = str(self._s3.meta.endpoint_url)

    def get(self, name: str) -> Found | None:
        try:
            reply, content = self._get(name)
        except FileNotFoundError:
            return None
        server_s = _date(reply)
        age_s = server_s - reply["LastModified"].timestamp()
        return Found(content=content, etag=reply["ETag"], age_s=age_s, server_s=server_s)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """Raises FileNotFoundError."""
        return self._get(name, Range=f"bytes={start}-{start + length - 1}")[1]

    def _get(self, name: str, **options: str) -> tuple[dict[str, Any], bytes]:
        with self._explained():
            for attempt in range(ATTEMPTS):
                reply = self._s3.get_object(**self._key(name), **options)
                try:
                    return reply, reply["Body"].read()
                except _PASSING:  # botocore repeats a request, not a body that broke off
                    if attempt == ATTEMPTS - 1:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def checksum(self, name: str) -> str:
        """Of all bytes of an object. Raises FileNotFoundError."""
        with self._explained():
            for attempt in range(ATTEMPTS):
                body = self._s3.get_object(**self._key(name))["Body"]
                try:
                    return checksum_of_chunks(body.iter_chunks(CHUNK_BYTES))
                except faults.FlexibleChecksumError:  # of the service's own: it differs, too
                    return ""
                except _PASSING:
                    if attempt == ATTEMPTS - 1:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def etag(self, name: str) -> str:
        """Raises FileNotFoundError."""
        with self._explained():
            return str(self._s3.head_object(**self._key(name))["ETag"])

    def size(self, name: str) -> int:
        """Bytes. Raises FileNotFoundError."""
        with self._explained():
            return int(self._s3.head_object(**self._key(name))["ContentLength"])

    def listed(self, folder: str = "") -> Iterator[Listed]:
        """All objects under `folder`, by name."""
        pages = self._s3.get_paginator("list_objects_v2")
        with self._explained():
            for page in pages.paginate(Bucket=self.name, Prefix=self._prefix + folder):
                for item in page.get("Contents", ()):
                    yield Listed(
                        name=item["Key"].removeprefix(self._prefix),
                        size=item["Size"],
                        etag=item["ETag"],
                        modified_s=item["LastModified"].timestamp(),
                    )

    def entries(self) -> list[str]:
        """Names at the top, objects and folders."""
        found: list[str] = []
        pages = self._s3.get_paginator("list_objects_v2")
        with self._explained():
            for page in pages.paginate(Bucket=self.name, Prefix=self._prefix, Delimiter="/"):
                found += [item["Key"] for item in page.get("Contents", ())]
                found += [item["Prefix"] for item in page.get("CommonPrefixes", ())]
        names = {key.removeprefix(self._prefix).rstrip("/") for key in found}
        return sorted(names - {""})  # a console makes an empty object for an empty folder

    def put_if(self, name: str, content: bytes, *, etag: str | None) -> str:
        """Replace the object that has `etag`, or make it where None; the new ETag.

        Raises ReplacedError where it is another one by now.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        for _ in range(ATTEMPTS):
            try:
                with self._explained():
                    reply = self._s3.put_object(**self._key(name), Body=content, **condition)
                return str(reply["ETag"])
            except (ReplacedError, FileNotFoundError):
                found = self.get(name)
            if found and found.content == content:
                return found.etag  # it was us: the reply got lost and botocore asked again
            if etag != (found.etag if found else None):
                raise ReplacedError(f"{self.url}/{name}")
        raise StoreUnavailableError(f"{self.url}/{name}: is being written all the time; {AGAIN}")

    def put_file(self, name: str, path: Path) -> None:
        """Upload a local file; the object appears whole."""
        with self._explained(), path.open("rb") as file:
            self._s3.upload_fileobj(file, self.name, self._prefix + name)

    def fetch_file(self, name: str, path: Path) -> None:
        with self._explained(), path.open("wb") as file:
            self._s3.download_fileobj(self.name, self._prefix + name, file)

    def delete(self, name: str) -> None:
        with self._explained():
            self._s3.delete_object(**self._key(name))

    def delete_together(self, names: Sequence[str]) -> None:
        """In one request each thousand."""
        for first in range(0, len(names), DELETED_TOGETHER):
            some = names[first : first + DELETED_TOGETHER]
            keys = [{"Key": self._prefix + name} for name in some]
            with self._explained():
                self._s3.delete_objects(Bucket=self.name, Delete={"Objects": keys, "Quiet": True})

    def copy(self, name: str, to: str) -> None:
        """Raises FileNotFoundError."""
        with self._explained():
            self._s3.copy_object(**self._key(to), CopySource=self._key(name))

    def move(self, name: str, to: str) -> None:
        """Raises FileNotFoundError."""
        self.copy(name, to)
        self.delete(name)

    def place(self, name: str) -> Place:
        """The folder `name` for Arrow, which is given the keys, endpoint and region of our client.

        Keys of a machine's role it renews itself where it runs; all others are as they are now.
        """
        endpoint = urlsplit(self.endpoint)
        s3: dict[str, Any] = {"scheme": endpoint.scheme, "region": self._s3.meta.region_name}
        if not str(endpoint.hostname).endswith(".amazonaws.com"):
            s3["endpoint_override"] = endpoint.netloc
        with self._explained():
            keys = boto3.Session().get_credentials()
            if keys is None:
                raise faults.NoCredentialsError
            if keys.method != OF_A_ROLE:
                now = keys.get_frozen_credentials()
                s3 |= {"access_key": now.access_key, "secret_key": now.secret_key}
                s3 |= {"session_token": now.token} if now.token else {}
        return Place(path=f"{self.name}/{self._prefix}{name}", s3=s3)

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": self._prefix + name}

    # --- faults

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except faults.ClientError as error:
            raise self._refused(error) from error
        except _PASSING as error:
            what = (
                f"is not reached ({type(error).__name__}); see to AWS_ENDPOINT_URL and the network"
            )
            raise self._unavailable(what) from error
        except (faults.NoCredentialsError, faults.PartialCredentialsError) as error:
            raise CorpusError(
                f"{self.url}: no credentials for it; set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from error
        except (faults.BotoCoreError, ValueError) as error:  # ValueError: of an endpoint's URL
            said = str(error).splitlines()[0]
            raise CorpusError(f"{self.url}: {said}; set the AWS_ variables right") from error

    def _refused(self, error: Any) -> Exception:
        code = str(error.response["Error"].get("Code"))
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        if code == "NoSuchBucket":
            remedy = "make it first, or set AWS_ENDPOINT_URL to where it is"
            return CorpusError(f"{self.url}: no bucket {self.name} at {self.endpoint}; {remedy}")
        if code in ABSENT:
            return FileNotFoundError(code)
        if code in REPLACED:
            return ReplacedError(code)
        if code == "RequestTimeTooSkewed":
            return CorpusError(f"{self.url}: this machine's clock is wrong; set it, then {AGAIN}")
        if code in ELSEWHERE or status == 301:
            return CorpusError(f"{self.url}: the bucket is in another region; set AWS_REGION")
        if code in DENIED or status in (401, 403):
            return CorpusError(
                f"{self.url}: access denied ({code}); these credentials have to allow getting, "
                "putting, deleting and listing objects there"
            )
        if (status >= 500 and status != 501) or status in (408, 429):
            return self._unavailable(f"answers {status} {code}; wait a little")
        said = str(error).splitlines()[0]
        return CorpusError(f"{self.url}: {said}; use a store that can do this, then {AGAIN}")

    def _unavailable(self, what: str) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self.url}: {self.endpoint} {what}, then {AGAIN}")


def _client() -> Any:
    """By the standard AWS_ variables and files; AWS_REGION too, which botocore leaves out."""
    attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", ATTEMPTS))
    retries = {"mode": os.environ.get("AWS_RETRY_MODE", "standard"), "total_max_attempts": attempts}
    region = os.environ.get("AWS_REGION")
    return boto3.Session(region_name=region).client("s3", config=Config(retries=retries, **CONFIG))


def _date(reply: dict[str, Any]) -> float:
    told = reply["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(told).timestamp() if told else time.time()
