"""What lies in a bucket, asked with nothing but the standard library; and an S3 server of a proof's own."""

import datetime as dt
import hashlib
import hmac
import http.client
import os
import shlex
import signal
import subprocess
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from proofs.outcome import Failed, Skipped

SCRIPT = Path(__file__).parents[1] / "s3"
START_SECONDS = 900  # it may have to be built first
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Bucket:
    """A bucket as the settings of a server name it."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._address = urllib.parse.urlsplit(settings["LADING_STORAGE__ENDPOINT_URL"]).netloc
        self._name = settings["LADING_STORAGE__BUCKET"]
        self._region = settings["LADING_STORAGE__REGION"]
        self._key_id, self._secret = settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]

    @classmethod
    def of_environment(cls) -> "Bucket | None":
        """The bucket of the servers that are started with this environment, None when they keep content elsewhere."""
        return cls(os.environ) if os.environ.get("LADING_STORAGE__BACKEND") == "s3" else None

    def sizes(self, prefix: str) -> dict[str, int]:
        """The keys that begin with a prefix, and the length of each object."""
        found: dict[str, int] = {}
        token: dict[str, str] = {}
        while True:
            page = self._get({"list-type": "2", "prefix": prefix} | token)
            for each in page.iter(f"{NAMESPACE}Contents"):
                found[each.findtext(f"{NAMESPACE}Key", "")] = int(each.findtext(f"{NAMESPACE}Size", "0"))
            following = page.findtext(f"{NAMESPACE}NextContinuationToken")
            if not following:
                return found
            token = {"continuation-token": following}

    def multiparts(self, prefix: str) -> list[str]:
        """The keys of the open multipart uploads below a prefix; MinIO tells those of whole keys alone."""
        page = self._get({"uploads": "", "prefix": prefix})
        return [each.findtext(f"{NAMESPACE}Key", "") for each in page.iter(f"{NAMESPACE}Upload")]

    def read(self, key: str) -> bytes:
        """The bytes of an object."""
        return self._ask("GET", key)

    def write(self, key: str, content: bytes) -> None:
        """Make an object, or put it in the place of one."""
        self._ask("PUT", key, body=content)

    def _get(self, query: dict[str, str]) -> ET.Element:
        return ET.fromstring(self._ask("GET", query=query))

    def _ask(self, method: str, key: str = "", *, query: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
        quoted = {name: urllib.parse.quote(value, safe="-_.~") for name, value in (query or {}).items()}
        encoded = "&".join(f"{name}={value}" for name, value in sorted(quoted.items()))
        path = f"/{self._name}" + (f"/{urllib.parse.quote(key)}" if key else "")
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            headers = self._signed(method, path, encoded, hashlib.sha256(body).hexdigest())
            connection.request(method, f"{path}?{encoded}" if encoded else path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise Failed(f"the bucket answers {answer.status}: {content[:200]!r}")
        return content

    def _signed(self, method: str, path: str, query: str, body: str) -> dict[str, str]:
        """The headers of a request with a signature of version 4."""
        time = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": self._address, "x-amz-content-sha256": body, "x-amz-date": time}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{body}"
        scope = f"{time[:8]}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self._secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return headers | {
            "authorization": f"AWS4-HMAC-SHA256 Credential={self._key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        }


class OwnS3:
    """An S3 server that only this proof uses, so that it can be stopped where it is."""

    def __init__(self, folder: Path) -> None:
        self._environment = os.environ | {"S3_DIR": str(folder), "S3_KIND": "minio"}
        self.data = folder / "minio" / "data"
        self._pid_file = folder / "minio" / "minio.pid"

    def __enter__(self) -> Self:
        started = self._run("start")
        if started.returncode != 0:
            raise Skipped(f"no S3 server can be had: {started.stderr.strip().splitlines()[-1:]}")
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._run("stop")

    def settings(self, bucket: str) -> dict[str, str]:
        """Make a bucket; the settings of a server that uses it."""
        made = self._run("bucket", bucket)
        if made.returncode != 0:
            raise Failed(f"no bucket could be made: {made.stderr.strip()}")
        words = [word for word in shlex.split(made.stdout) if word != "export"]
        return dict(word.split("=", 1) for word in words)

    def freeze(self) -> None:
        """Stop it where it is: connections are taken, and nothing is answered."""
        os.kill(self._pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._pid_file.exists():
            os.kill(self._pid(), signal.SIGCONT)

    def _pid(self) -> int:
        return int(self._pid_file.read_text())

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPT), *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
