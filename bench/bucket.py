"""The S3 server that all registries of a run share: one that is given, or a minio that is started here."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bench.process import NotStarted, Program
from bench.tools import free_address, tool

START_SECONDS = 30
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials of S3."""

    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that AWS's programs read."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


class S3Server:
    """A bucket of its own on a server; leaving the context removes it, and the server if it was started here."""

    def __init__(self, folder: Path, endpoint: str | None) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self.program: Program | None = None
        self.bucket = f"lading-bench-{secrets.token_hex(4)}"
        if endpoint is None:
            self.keys = Keys("bench", secrets.token_hex(16))
            self.endpoint = f"http://{free_address()}"
        else:
            self.keys = Keys(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
            self.endpoint = endpoint
        self._starts = endpoint is None
        self._client = self._connect()

    @property
    def name(self) -> str:
        """What the server is, for the report."""
        return "minio, started here" if self._starts else self.endpoint

    def __enter__(self) -> Self:
        if self._starts:
            self._start()
        self._client.create_bucket(Bucket=self.bucket)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self.empty("")
            self._client.delete_bucket(Bucket=self.bucket)
        finally:
            self._stack.close()

    def cpu_seconds(self) -> float:
        """CPU time of the server, 0 where it is not ours."""
        return 0.0 if self.program is None else self.program.cpu_seconds()

    def empty(self, prefix: str) -> int:
        """Remove every object under a prefix, and what is being uploaded; the number of objects."""
        count = 0
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            found = [{"Key": each["Key"]} for each in page.get("Contents", [])]
            if found:
                self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": found, "Quiet": True})
            count += len(found)
        for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=prefix):
            for each in page.get("Uploads", []):
                self._client.abort_multipart_upload(Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"])
        return count

    def _start(self) -> None:
        data = self._folder / "minio"
        data.mkdir()
        address = self.endpoint.removeprefix("http://")
        command = [tool("minio"), "server", str(data), "--quiet", "--address", address]
        environment = os.environ | {
            "MINIO_ROOT_USER": self.keys.access_key,
            "MINIO_ROOT_PASSWORD": self.keys.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }
        self.program = Program(command, environment, self._folder / "minio.log")
        self._stack.callback(shutil.rmtree, data, ignore_errors=True)
        self._stack.enter_context(self.program)
        self.program.wait_for(self._answers(), START_SECONDS)

    def _answers(self) -> Iterator[bool]:
        while True:
            try:
                self._client.list_buckets()
            except (BotoCoreError, ClientError):
                yield False
            else:
                yield True

    def _connect(self) -> Any:  # noqa: ANN401  boto3 makes its classes as it runs
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.keys.access_key,
            aws_secret_access_key=self.keys.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
        )


def need_keys() -> None:
    """Raise NotStarted unless the environment has credentials for a server that is given."""
    if not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= os.environ.keys():
        raise NotStarted("--endpoint needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
