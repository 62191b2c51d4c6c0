"""A root key in AWS KMS: what is asked of it, and what its refusals and its silence mean."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from storage.errors import KeyUnavailable, WrongKey
from storage.roots.interface import Wrapped
from storage.roots.kms import KmsKeys, KmsPatience, KmsPlace, new_session
from tests.kms.server import ACCESS_KEY, REGION, SECRET_KEY, Asked, KmsServer

CONTEXT = {"registry": "one", "domain": "AES256", "version": "1"}
SECRET = b"canary-secret-of-thirty-two-byte"
HASTY = KmsPatience(connect=1, read=0.2, attempts=1)
REFUSED = "the key management service refuses a key: whoever runs the registry must see to it"
AWAY = "the key management service does not answer: try again later"


@pytest.fixture(scope="module")
def session() -> Any:
    """One for all: it loads the description of KMS once."""
    return boto3.session.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)


@pytest.fixture
def server() -> Iterator[KmsServer]:
    with KmsServer() as server:
        yield server


class Opened:
    """Makes keys on one server, and closes them."""

    def __init__(self, server: KmsServer, session: Any) -> None:
        self.server = server
        self.session = session
        self.made: list[KmsKeys] = []

    def keys(
        self, key_id: str | None = None, *, region: str | None = REGION, patience: KmsPatience = HASTY, url: str = ""
    ) -> KmsKeys:
        place = KmsPlace(key_id, url or self.server.url, region, patience)
        self.made.append(KmsKeys(place, lambda: self.session))
        return self.made[-1]


@pytest.fixture
def kms(server: KmsServer, session: Any) -> Iterator[Opened]:
    opened = Opened(server, session)
    yield opened
    for keys in opened.made:
        keys.close()


async def test_secret_is_wrapped_under_the_name_that_kms_answers(kms: Opened) -> None:
    """An alias may come to name another key; the ARN does not."""
    key = kms.server.create_key("lading")
    keys = kms.keys("alias/lading")

    wrapped = await keys.wrap(SECRET, CONTEXT)

    assert wrapped.root == f"aws-kms:{key.arn}"
    assert SECRET not in wrapped.secret
    kms.server.aliases["alias/lading"] = kms.server.create_key()
    assert await keys.unwrap(wrapped, CONTEXT) == SECRET
    assert [each.operation for each in kms.server.asked] == ["Encrypt", "Decrypt"]
    assert kms.server.asked[1] == Asked(
        "Decrypt",
        {"KeyId": key.arn, "CiphertextBlob": kms.server.asked[1].document["CiphertextBlob"]}
        | {"EncryptionContext": CONTEXT},
    )


async def test_current_key_is_the_one_that_an_alias_names(kms: Opened) -> None:
    key = kms.server.create_key("lading")

    assert await kms.keys("alias/lading").current() == f"aws-kms:{key.arn}"


async def test_key_of_a_domain_wraps_in_place_of_the_default(kms: Opened) -> None:
    default, other = kms.server.create_key(), kms.server.create_key()

    wrapped = await kms.keys(default.id).wrap(SECRET, CONTEXT, kms_key=other.id)

    assert wrapped.root == f"aws-kms:{other.arn}"
    assert await kms.keys(default.id).unwrap(wrapped, CONTEXT) == SECRET


async def test_context_is_bound(kms: Opened) -> None:
    keys = kms.keys(kms.server.create_key().id)
    wrapped = await keys.wrap(SECRET, CONTEXT)

    with pytest.raises(WrongKey):
        await keys.unwrap(wrapped, {**CONTEXT, "version": "2"})


async def test_ciphertext_of_another_key_is_the_wrong_key(kms: Opened) -> None:
    """Though we might use that other key: a swap in the database is seen."""
    one, other = kms.server.create_key(), kms.server.create_key()
    keys = kms.keys(one.id)
    wrapped = await keys.wrap(SECRET, CONTEXT, kms_key=other.id)

    with pytest.raises(WrongKey):
        await keys.unwrap(Wrapped(f"aws-kms:{one.arn}", wrapped.secret), CONTEXT)


async def test_torn_ciphertext_is_the_wrong_key(kms: Opened) -> None:
    keys = kms.keys(kms.server.create_key().id)
    wrapped = await keys.wrap(SECRET, CONTEXT)

    with pytest.raises(WrongKey):
        await keys.unwrap(Wrapped(wrapped.root, wrapped.secret[:-1]), CONTEXT)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "AccessDeniedException",
            "(AccessDeniedException): allow kms:Encrypt and kms:Decrypt with it to the credentials",
        ),
        ("DisabledException", "(DisabledException): it is disabled: enable it"),
        ("KMSInvalidStateException", "(KMSInvalidStateException): it is to be deleted, or waits for its material"),
        ("NotFoundException", "(NotFoundException): there is no such key: correct encryption.kms_key_id or the region"),
        ("InvalidKeyUsageException", "(InvalidKeyUsageException): it is not for encryption: name a symmetric key"),
        ("SomethingElse", "(SomethingElse): see its policy and state in KMS"),
        ("<script>\n", "(400): see its policy and state in KMS"),
    ],
)
async def test_refusal_says_what_to_do(kms: Opened, code: str, words: str) -> None:
    """Those who run the registry hear which key it is; clients do not."""
    arn = kms.server.create_key().arn
    kms.server.refuses = (code, 400)

    with pytest.raises(KeyUnavailable) as raised:
        await kms.keys(arn).wrap(SECRET, CONTEXT)

    assert str(raised.value) == REFUSED
    assert raised.value.words.startswith(f"KMS refuses Encrypt with the key {arn} {words}")


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("ThrottlingException", 400, "KMS asks for fewer requests (ThrottlingException): try again later"),
        ("LimitExceededException", 400, "KMS asks for fewer requests (LimitExceededException): try again later"),
        ("KMSInternalException", 500, "KMS failed (KMSInternalException): try again later"),
        ("DependencyTimeoutException", 500, "KMS failed (DependencyTimeoutException): try again later"),
        ("KeyUnavailableException", 500, "KMS failed (KeyUnavailableException): try again later"),
        ("", 503, "KMS failed (503): try again later"),
    ],
)
async def test_service_that_is_away_is_no_refusal(kms: Opened, code: str, status: int, words: str) -> None:
    arn = kms.server.create_key().arn
    kms.server.refuses = (code, status)

    with pytest.raises(KeyUnavailable) as raised:
        await kms.keys().unwrap(Wrapped(f"aws-kms:{arn}", SECRET), CONTEXT)

    assert str(raised.value) == AWAY
    assert raised.value.words.startswith(words)


@pytest.mark.parametrize(("state", "words"), [("Disabled", "enable it"), ("PendingDeletion", "cancel the deletion")])
async def test_key_that_is_taken_away_is_refused_at_once(kms: Opened, state: str, words: str) -> None:
    key = kms.server.create_key()
    keys = kms.keys(key.id)
    wrapped = await keys.wrap(SECRET, CONTEXT)
    key.state = state

    with pytest.raises(KeyUnavailable) as raised:
        await keys.unwrap(wrapped, CONTEXT)

    assert words in raised.value.words


async def test_silence_ends_soon(kms: Opened) -> None:
    """After 0.2 s, as is set here; the patience that nobody sets is ten."""
    kms.server.is_silent = True
    began = time.monotonic()

    with pytest.raises(KeyUnavailable, match=AWAY) as raised:
        await kms.keys("alias/lading").wrap(SECRET, CONTEXT)

    assert raised.value.words.startswith("KMS did not answer (ReadTimeoutError): see that it can be reached")
    assert time.monotonic() - began < 5


async def test_nobody_there_is_away(kms: Opened) -> None:
    with pytest.raises(KeyUnavailable, match=AWAY) as raised:
        await kms.keys("alias/lading", url="http://127.0.0.1:1").wrap(SECRET, CONTEXT)

    assert raised.value.words.startswith("KMS did not answer (EndpointConnectionError)")


@pytest.mark.parametrize("answer", [b"<html>welcome</html>", b"{}"])
async def test_what_is_no_kms_is_told_apart(kms: Opened, answer: bytes) -> None:
    """An address in the settings that something else has."""
    kms.server.answers = answer

    with pytest.raises(KeyUnavailable, match=REFUSED) as raised:
        await kms.keys("alias/lading").wrap(SECRET, CONTEXT)

    assert raised.value.words.endswith("correct the settings of encryption")


async def test_credentials_that_kms_does_not_know_are_refused(kms: Opened) -> None:
    kms.session = boto3.session.Session(aws_access_key_id="another", aws_secret_access_key="x")

    with pytest.raises(KeyUnavailable, match=REFUSED) as raised:
        await kms.keys("alias/lading").wrap(SECRET, CONTEXT)

    assert raised.value.words.startswith("KMS does not know these credentials (UnrecognizedClientException)")


async def test_no_credentials_say_where_to_put_some(
    kms: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    kms.session = new_session()

    with pytest.raises(KeyUnavailable, match=REFUSED) as raised:
        await kms.keys("alias/lading").wrap(SECRET, CONTEXT)

    assert raised.value.words.startswith("no AWS credentials were found: set AWS_ACCESS_KEY_ID")


async def test_region_comes_from_the_arn_first(kms: Opened) -> None:
    """A key can be asked in its own region only; the server checks it."""
    key = kms.server.create_key()

    assert (await kms.keys(key.arn, region="us-west-2").wrap(SECRET, CONTEXT)).root == f"aws-kms:{key.arn}"


async def test_region_of_the_default_key_counts_for_others(kms: Opened) -> None:
    default, other = kms.server.create_key(), kms.server.create_key("other")

    wrapped = await kms.keys(default.arn, region=None).wrap(SECRET, CONTEXT, kms_key="alias/other")

    assert wrapped.root == f"aws-kms:{other.arn}"


async def test_key_without_a_region_says_how_to_name_one() -> None:
    """AWS has no address without one."""
    keys = KmsKeys(KmsPlace("alias/lading"))

    with pytest.raises(KeyUnavailable, match=REFUSED) as raised:
        await keys.wrap(SECRET, CONTEXT)

    keys.close()
    assert raised.value.words == (
        "no region is known for the KMS key alias/lading: name it by its ARN, or set AWS_REGION"
    )


async def test_secrets_are_in_no_message(kms: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """Neither ours, nor what the libraries log as long as nobody asks for all that they see."""
    caplog.set_level(logging.INFO)
    keys = kms.keys(kms.server.create_key().id)
    wrapped = await keys.wrap(SECRET, CONTEXT)
    kms.server.refuses = ("AccessDeniedException", 400)

    with pytest.raises(KeyUnavailable) as raised:
        await keys.unwrap(wrapped, CONTEXT)

    error: BaseException | None = raised.value
    while error is not None:
        assert "canary" not in repr(error)
        assert SECRET_KEY not in repr(error)
        error = error.__cause__ or error.__context__
    assert "canary" not in raised.value.in_full + repr(keys) + repr(wrapped) + caplog.text
