"""The settings of where the root key comes from."""

import pytest

from registry.config import SettingsInvalid
from registry.config_sources import load
from registry.config_text import toml_text


@pytest.mark.parametrize("mode", ["local", "environment", "off"])
def test_these_modes_need_nothing_else(mode: str) -> None:
    assert load({"encryption.mode": mode}).settings.encryption.mode == mode


@pytest.mark.parametrize(
    "key",
    [
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-cn:kms:cn-north-1:111122223333:alias/lading",
        "alias/team/lading_1",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
    ],
)
def test_kms_takes_every_name_of_a_key(key: str) -> None:
    loaded = load({"encryption.mode": "aws-kms", "encryption.kms_key_id": key})

    assert loaded.settings.encryption.kms_key_id == key


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"mode": "aws-kms"}, "encryption: the mode aws-kms needs a key: set encryption.kms_key_id"),
        ({"mode": "vault"}, "encryption.mode: Input should be 'local', 'environment', 'aws-kms' or 'off'"),
        ({"kms_key_id": "two words"}, "encryption.kms_key_id: a KMS key is an id, an ARN, or alias/ and a name"),
        ({"kms_key_id": ""}, "encryption.kms_key_id: a KMS key is an id, an ARN, or alias/ and a name"),
        ({"kms_endpoint_url": "kms.example"}, "encryption.kms_endpoint_url: an endpoint is http:// or https://"),
        ({"kms_endpoint_url": "https://u:p@kms.example"}, "encryption.kms_endpoint_url: an endpoint is http://"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load({f"encryption.{key}": value for key, value in given.items()})

    assert str(refused.value).startswith(sentence)


def test_root_keys_in_the_environment_are_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """So no print of the settings can have them."""
    monkeypatch.setenv("LADING_ROOT_KEY", "canary")

    loaded = load({})

    assert "canary" not in repr(loaded) + toml_text(loaded)
