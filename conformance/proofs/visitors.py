"""Clients that log in, push and pull without end, each in its own way."""

import json
import os
import time
import urllib.parse
from collections.abc import Callable

from proofs.registry import CONFIG, LAYER, MANIFEST, sha256
from proofs.witness import Broken, Cut, Steward, Witness, basic

PUSHES = 3
TOKEN_SECONDS = 5
LAYER_BYTES = 600
MOST_SECRETS = 300
FORM = "application/x-www-form-urlencoded"

Login = Callable[[], str]
"""A token for the visitor's repository; raises Cut or Broken."""


class Visitor:
    """One user's client: a login, a few pushes and pulls under its token, and again."""

    def __init__(self, witness: Witness, steward: Steward, user: str) -> None:
        self._witness = witness
        self._steward = steward
        self.user = user
        self.password = steward.user(user)
        self.repository = f"access/{user}"
        self.pushes = 0

    def visit(self, login: Login) -> None:
        """Log in, push and pull; raises Cut or Broken."""
        bearer, fetched_at = f"Bearer {login()}", time.monotonic()
        for _ in range(PUSHES):
            if time.monotonic() - fetched_at > TOKEN_SECONDS:
                bearer, fetched_at = f"Bearer {login()}", time.monotonic()
            self.push_and_pull(bearer)

    def push_and_pull(self, bearer: str, tag: str = "latest") -> None:
        """Push an image that was not there before, and read it back."""
        layer, config = os.urandom(LAYER_BYTES), json.dumps({"unique": os.urandom(8).hex()}).encode()
        described = [
            {"mediaType": media_type, "digest": self._push_blob(bearer, content), "size": len(content)}
            for content, media_type in ((config, CONFIG), (layer, LAYER))
        ]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        body = json.dumps(manifest).encode()
        self._witness.change("PUT", f"/v2/{self.repository}/manifests/{tag}", bearer, body, MANIFEST)
        self._pull(bearer, f"manifests/{sha256(body)}", body)
        self._pull(bearer, f"blobs/{sha256(layer)}", layer)
        self.pushes += 1

    def _push_blob(self, bearer: str, content: bytes) -> str:
        digest = sha256(content)
        path = f"/v2/{self.repository}/blobs/uploads/"
        begun = self._expect(202, "POST", path, bearer)
        location = urllib.parse.urlsplit(begun["location"])
        target = (
            f"{location.path}?{location.query}&digest={digest}"
            if location.query
            else f"{location.path}?digest={digest}"
        )
        self._witness.change("PUT", target, bearer, content, "application/octet-stream")
        return digest

    def _pull(self, bearer: str, what: str, expected: bytes) -> None:
        path = f"/v2/{self.repository}/{what}"
        answer = self._witness.exchange("GET", path, bearer)
        if (answer.status, answer.body) != (200, expected):
            raise Broken(f"GET {path} was answered {answer.status}: {answer.body[:300]!r}")

    def _expect(self, status: int, method: str, path: str, bearer: str) -> dict[str, str]:
        answer = self._witness.exchange(method, path, bearer)
        if answer.status != status:
            raise Broken(f"{method} {path} was answered {answer.status}: {answer.body[:300]!r}")
        return dict(answer.headers)

    # -- the ways to log in --------------------------------------------------------------------------------------

    def token_path(self) -> str:
        """Where a token for its repository is fetched."""
        return f"/auth/token?{urllib.parse.urlencode(self._asked())}"

    def _asked(self) -> dict[str, str]:
        return {"service": self._steward.service, "scope": f"repository:{self.repository}:pull,push"}

    def login_as(self, name: str, password: str) -> str:
        """A token by Basic credentials."""
        return self._token("GET", self.token_path(), basic(name, password))

    def login(self) -> str:
        """A token by the user's own password."""
        return self.login_as(self.user, self.password)

    def tries_password(self) -> int:
        """The status of a login by the user's own password; raises Cut."""
        return self._witness.exchange("GET", self.token_path(), basic(self.user, self.password)).status

    def first_refresh_token(self) -> str:
        """A refresh token by the user's own password."""
        answer = self._witness.exchange(
            "GET", self.token_path() + "&offline_token=true", basic(self.user, self.password)
        )
        return self._witness.keep_secret(answer.expect(200).json()["refresh_token"], "a refresh token")

    def login_by_refresh(self, refresh_token: str) -> str:
        """A token by a refresh token."""
        form = self._asked() | {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self._token("POST", "/auth/token", "", urllib.parse.urlencode(form).encode())

    def _token(self, method: str, path: str, authorization: str, body: bytes = b"") -> str:
        answer = self._witness.exchange(method, path, authorization, body, FORM if body else "")
        if answer.status != 200:
            raise Broken(f"{self.user} was answered {answer.status} for its login: {answer.body[:300]!r}")
        token = str(answer.json()["token"])
        if len(self._witness.secrets) < MOST_SECRETS:
            self._witness.keep_secret(token.rpartition(".")[2], f"a token of {self.user}")
        return token

    def service_token(self) -> str:
        """A service token, made for it."""
        path = f"/users/{self.user}/service-tokens"
        text = self._steward.change("POST", path, {"name": "ci"})["token"]
        self._witness.keep_secret(text.rpartition("_")[2], f"the service token of {self.user}")
        return str(text)


class KeyedVisitor(Visitor):
    """A client whose access key is turned before every visit."""

    def __init__(self, witness: Witness, steward: Steward, user: str) -> None:
        super().__init__(witness, steward, user)
        self._key = "", ""
        self._key = self._new_key()
        self.turns = 0

    def visit_and_turn(self) -> None:
        """Visit with one key, go over to the next, and see the one before refused by every worker."""
        self._remove_others()
        key = self._key
        token = self.login_as(*key)
        self.push_and_pull(f"Bearer {token}")
        self._key = self._new_key()
        path = f"/users/{self.user}/access-keys/{key[0]}"
        self._steward.change("PATCH", path, {"active": False})
        self._witness.ask_every_worker(f"/v2/{self.repository}/manifests/latest", f"Bearer {token}", 401)
        self.visit(lambda: self.login_as(*self._key))
        self.turns += 1

    def _new_key(self) -> tuple[str, str]:
        while True:
            try:
                made = self._steward.try_once("POST", f"/users/{self.user}/access-keys")
            except Cut:  # it may be there, and nobody knows its secret
                self._remove_others()
                continue
            return made["access_key_id"], self._witness.keep_secret(made["secret_access_key"], "an access key")

    def _remove_others(self) -> None:
        used = self._key[0]
        for each in self._steward.read(f"/users/{self.user}/access-keys")["items"]:
            if each["access_key_id"] != used:
                try:
                    self._steward.try_once("DELETE", f"/users/{self.user}/access-keys/{each['access_key_id']}")
                except Cut:
                    continue
