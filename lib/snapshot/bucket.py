"""A bucket of S3: objects that are written once, within time-outs, without blocking the loop."""

import asyncio
import base64
import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from lib.errors import Unavailable

CONNECT_SECONDS = 5
READ_SECONDS = 10
ATTEMPTS = 2
CALL_SECONDS = 60.0
"""For all attempts at a call: 8 MB go or come within it."""

AT_ONCE = 4
LISTED = 1000
"""Names in one answer of S3's."""
LISTINGS = 20

NOT_THERE = {"404", "NoSuchKey", "NotFound"}
THERE_ALREADY = {"412", "PreconditionFailed"}


@dataclass(frozen=True)
class Stored:
    """An object as S3 has it: its size in bytes, S3's own SHA-256 in hex, and what is noted."""

    bytes: int
    sha256: str
    notes: Mapping[str, str]


class Bucket:
    """One bucket; made once a process, connects with the first call.

    Where it is and who asks is read by boto3 itself, from AWS's own variables. Every call raises
    Unavailable where S3 is down, slow or refusing.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: Any = None
        self._making = threading.Lock()
        # of its own: calls that hang must not keep others of the process's threads waiting
        self._threads = ThreadPoolExecutor(AT_ONCE, "s3")

    async def put(self, key: str, body: bytes, notes: Mapping[str, str]) -> Stored:
        """Store an object unless there is one of this key; return the one that is there then."""
        digest = hashlib.sha256(body)
        written = await self._call(
            "put_object",
            THERE_ALREADY,
            Key=key,
            Body=body,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
            Metadata=dict(notes),
            IfNoneMatch="*",
        )
        stored = await self.look(key)
        ours = Stored(len(body), digest.hexdigest(), notes)
        if stored is None or (written is not None and stored != ours):
            raise Unavailable(f"s3: expected {key} as it was just stored, got {stored}")
        return stored

    async def look(self, key: str) -> Stored | None:
        """Return what is stored under a key, if there is anything."""
        found = await self._call("head_object", NOT_THERE, Key=key, ChecksumMode="ENABLED")
        if found is None:
            return None
        digest = found.get("ChecksumSHA256")
        if digest is None:
            raise Unavailable(f"s3: expected a SHA-256 of {key}, got none")
        return Stored(found["ContentLength"], base64.b64decode(digest).hex(), found["Metadata"])

    async def read(self, key: str) -> bytes | None:
        """Return an object's bytes, if there is one."""
        found: bytes | None = await self._call("get_object", NOT_THERE, Key=key)
        return found

    async def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that ends in a slash, each without its own."""
        names: list[str] = []
        more: dict[str, str] = {}
        for _ in range(LISTINGS):
            page = await self._call("list_objects_v2", Prefix=prefix, Delimiter="/", **more)
            found = [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            names += [name.removeprefix(prefix).removesuffix("/") for name in found]
            if not page.get("IsTruncated"):
                return names
            more = {"ContinuationToken": page["NextContinuationToken"]}
        raise Unavailable(f"s3: expected at most {LISTED * LISTINGS} names below {prefix}")

    async def keys(self, prefix: str) -> list[str]:
        """Return the first keys with this prefix, LISTED at most."""
        page = await self._call("list_objects_v2", Prefix=prefix, MaxKeys=LISTED)
        return [entry["Key"] for entry in page.get("Contents", ())]

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete the objects of these keys, LISTED at most, whether they are there or not."""
        objects = [{"Key": key} for key in keys]
        done = await self._call("delete_objects", Delete={"Objects": objects, "Quiet": True})
        if done.get("Errors"):
            first = done["Errors"][0]
            raise Unavailable(f"s3: {first.get('Code')} for {first.get('Key')}")

    def close(self) -> None:
        """Let go of the threads and the connections; what is under way comes to nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _call(
        self, operation: str, expected: set[str] | None = None, /, **arguments: Any
    ) -> Any:
        """Return the answer; None where S3 refuses with one of the codes that are expected."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # as below

        running = asyncio.get_running_loop().run_in_executor(
            self._threads, partial(self._run, operation, arguments)
        )
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await running
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if expected and code in expected:
                return None
            raise Unavailable(f"s3: {code or 'no code'} for {operation}") from error
        except (BotoCoreError, OSError, TimeoutError) as error:
            raise Unavailable(f"s3: {type(error).__name__} for {operation}") from error

    def _run(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        answer = getattr(self._connected(), operation)(Bucket=self._name, **arguments)
        if operation != "get_object":
            return answer
        with answer["Body"] as body:
            return body.read()

    def _connected(self) -> Any:
        # boto3 takes longer to import than all that a page needs, and no page needs it
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        with self._making:
            if self._client is None:
                self._client = boto3.session.Session().client(
                    "s3",
                    config=Config(
                        connect_timeout=CONNECT_SECONDS,
                        read_timeout=READ_SECONDS,
                        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                        max_pool_connections=AT_ONCE,
                    ),
                )
            return self._client
