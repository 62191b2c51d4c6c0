"""Settings: their bounds, where they come from, and how they are shown."""

import json
import tomllib
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from registry.__main__ import main
from registry.config import ServerSettings, Settings, SettingsInvalid
from registry.config_sources import load, sections
from registry.config_storage import StorageSettings
from registry.config_text import json_text, toml_text


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LADING_DEV", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that every setting follows."""
    file = tmp_path / "lading.toml"
    file.write_text('[limits]\npage = 1\njson_depth = 11\ntags_per_push = 21\n[auth]\nanonymous = "pull"\n')
    monkeypatch.setenv("LADING_LIMITS__PAGE", "2")
    monkeypatch.setenv("LADING_LIMITS__JSON_DEPTH", "12")

    loaded = load({"limits.page": "3"}, file)

    limits = loaded.settings.limits
    assert (limits.page, limits.json_depth, limits.tags_per_push, limits.manifest_bytes) == (3, 12, 21, 4194304)
    assert loaded.origins == {
        "limits.page": "flag",
        "limits.json_depth": "environment",
        "limits.tags_per_push": "lading.toml",
        "auth.anonymous": "lading.toml",
    }


def test_construction_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings made in a program are what the program says."""
    monkeypatch.setenv("LADING_LIMITS__PAGE", "2")

    assert Settings().limits.page == 1000


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "LADING_SERVER__LISTN",
            "there is no setting LADING_SERVER__LISTN in the environment: did you mean LADING_SERVER__LISTEN?",
        ),
        (
            "LADING_SERVER_LISTEN",
            "there is no setting LADING_SERVER_LISTEN in the environment: did you mean LADING_SERVER__LISTEN?",
        ),
        (
            "LADING_SERVR__LISTEN",
            "there is no setting LADING_SERVR__LISTEN in the environment: did you mean LADING_SERVER__LISTEN?",
        ),
    ],
)
def test_unknown_variable_is_refused_by_name(name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error must not silently leave a default in force."""
    monkeypatch.setenv(name, "x")

    with pytest.raises(SettingsInvalid) as refused:
        load({})

    assert str(refused.value) == message


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix alone does not make a setting, and an empty value is none."""
    monkeypatch.setenv("LADING_TEST_POSTGRES", "x")
    monkeypatch.setenv("LADING_SERVER__PUBLIC_URL", "")

    assert load({}).settings.server.public_url is None


def test_unknown_key_in_the_file_is_refused_by_name(tmp_path: Path) -> None:
    """The file's keys are as strict as the environment's."""
    file = tmp_path / "lading.toml"
    file.write_text("[server]\nworker = 3\n[colour]\nred = 1\n")

    with pytest.raises(SettingsInvalid) as refused:
        load({}, file)

    assert str(refused.value).splitlines() == [
        "there is no setting server.worker (lading.toml): did you mean server.workers?",
        "there is no setting colour.red (lading.toml): see lading config show",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [("[server", "the configuration file {} is not valid TOML"), (None, "cannot read the configuration file {}")],
)
def test_unreadable_file_is_refused(tmp_path: Path, text: str | None, start: str) -> None:
    """A file that was asked for counts, or nothing starts."""
    file = tmp_path / "lading.toml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SettingsInvalid) as refused:
        load({}, file)

    assert str(refused.value).startswith(start.format(file))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("auth.token_ttl", "10m", "a duration is a bare number of seconds, as in 90 (flag)"),
        ("auth.token_ttl", "3601", "Input should be less than or equal to 3600 (flag)"),
        ("auth.token_ttl", "59", "Input should be greater than or equal to 60 (flag)"),
        ("server.listen", "5000", "an address is HOST:PORT, as in 127.0.0.1:5000 or [::1]:5000 (flag)"),
        ("server.listen", "::1:65536", "an address is HOST:PORT, as in 127.0.0.1:5000 or [::1]:5000 (flag)"),
        (
            "server.public_url",
            "https://x/y",
            "a public URL has no path: clients look for /v2/ at the root of a host (flag)",
        ),
        (
            "metadata.url",
            "mysql://x",
            "a metadata URL is postgresql://…; leave it out for SQLite in the data directory (flag)",
        ),
        (
            "limits.blob_bytes",
            "5GB",
            "a size is a number of bytes, or a number with KiB, MiB, GiB or TiB, as in 64MiB (flag)",
        ),
    ],
)
def test_value_out_of_bounds_is_refused_with_its_origin(key: str, value: str, message: str) -> None:
    """The message names the key, the rule and where the value stands."""
    with pytest.raises(SettingsInvalid) as refused:
        load({key: value})

    assert str(refused.value) == f"{key}: {message}"


@given(st.integers(0, 10**6), st.sampled_from([("", 0), ("B", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]))
def test_sizes_have_binary_units(number: int, unit: tuple[str, int]) -> None:
    """1 KiB is 1024 bytes."""
    assert StorageSettings.model_validate({"reserve": f"{number}{unit[0]}"}).reserve == number << unit[1]


@pytest.mark.parametrize(
    ("listen", "host", "port", "loopback"),
    [
        ("127.0.0.1:5000", "127.0.0.1", 5000, True),
        ("[::1]:0", "::1", 0, True),
        ("localhost:80", "localhost", 80, True),
        ("192.0.2.1:5000", "192.0.2.1", 5000, False),
        ("[::]:5000", "::", 5000, False),
        ("registry.example:443", "registry.example", 443, False),
    ],
)
def test_address_is_a_host_and_a_port(listen: str, host: str, port: int, *, loopback: bool) -> None:
    """IPv6 addresses stand in brackets."""
    server = ServerSettings(listen=listen)

    assert (server.host, server.port, server.is_loopback) == (host, port, loopback)


def test_certificate_and_key_go_together() -> None:
    """One without the other would serve in the clear."""
    with pytest.raises(ValidationError, match="set both or none"):
        ServerSettings(tls_key=Path("key.pem"))


def test_reserve_is_the_smaller_of_64_mib_and_2_percent() -> None:
    """A small disk keeps little free, a large one no more than is needed."""
    assert StorageSettings().reserve_bytes(1000) == 20
    assert StorageSettings().reserve_bytes(10**12) == 67108864
    assert StorageSettings(reserve=7).reserve_bytes(10**12) == 7


@pytest.mark.parametrize("model", [Settings, *sections().values()])
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    """The model is the documentation."""
    fields = model.model_fields.items()

    assert [name for name, field in fields if not field.description and name not in sections()] == []


def test_shown_settings_can_be_read_back(tmp_path: Path) -> None:
    """What `config show` prints is a configuration file."""
    flags = {"server.trusted_proxies": "10.0.0.0/8,::1/128", "storage.root": '/data/"x"', "auth.token_ttl": "61"}
    shown = toml_text(load(flags))
    file = tmp_path / "shown.toml"
    file.write_text(shown)

    assert load({}, file).settings == load(flags).settings
    assert "token_ttl = 61  # flag\n" in shown
    assert set(tomllib.loads(shown)) == {"dev", *sections()}


def test_secrets_are_never_shown() -> None:
    """Neither as text nor by accident."""
    loaded = load({"auth.admin_password": "hunter2", "metadata.url": "postgresql://u:hunter2@h/d"})

    for shown in (toml_text(loaded), json_text(loaded), repr(loaded), str(loaded.settings)):
        assert "hunter2" not in shown


def test_a_path_that_is_no_text_is_shown_as_json_says_it() -> None:
    """Names of files are bytes, and what is no UTF-8 of them still has to be told."""
    shown = json.loads(json_text(load({"storage.root": "/data/a\udcff"})))

    assert shown["settings"]["storage"]["root"] == "/data/a\udcff"


def test_refused_secret_is_not_shown() -> None:
    """A message about a bad value does not repeat it."""
    with pytest.raises(SettingsInvalid) as refused:
        load({"metadata.url": "mysql://u:hunter2@h/d"})

    assert "hunter2" not in str(refused.value)


def test_known_keys_are_what_the_design_lists() -> None:
    """A key that is added or renamed is a change of contract."""
    assert {name: " ".join(section.model_fields) for name, section in sections().items()} == {
        "server": "listen public_url workers tls_certificate tls_key tls_client_ca tls_client_auth trusted_proxies "
        "drain_seconds",
        "metadata": "url",
        "storage": "backend root durability reserve bucket prefix endpoint_url region addressing ca_bundle sse "
        "checksum requester_pays part_bytes redirect",
        "encryption": "mode key_file kms_key_id kms_endpoint_url",
        "auth": "admin_password anonymous token_ttl refresh_ttl services",
        "manifests": "allow_sparse",
        "repositories": "create_on_push",
        "limits": "manifest_bytes json_depth tags_per_push page blob_bytes uploads upload_ttl "
        "login_attempts header_bytes header_seconds body_idle",
        "log": "format level access",
        "audit": "file retention refusals",
    }


def test_config_check_succeeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and a sentence."""
    assert main(["config", "check", "--root", str(tmp_path / "a" / "b"), "--set", "encryption.mode=local"]) == 0
    assert capsys.readouterr().out == "the settings are valid\n"


def test_config_check_says_that_nothing_is_encrypted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Valid, and to know of."""
    assert main(["config", "check", "--root", str(tmp_path), "--set", "encryption.mode=off"]) == 0
    assert capsys.readouterr().out == ("the settings are valid\nencryption.mode is off: nothing is encrypted at rest\n")


def test_config_check_looks_at_the_authorities_of_clients(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issued = trustme.CA().issue_cert("server.example")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    (tmp_path / "authorities.pem").write_text("none")
    files = {"tls_certificate": "server.pem", "tls_key": "server.pem", "tls_client_ca": "authorities.pem"}
    flags = [word for name, file in files.items() for word in ("--set", f"server.{name}={tmp_path / file}")]

    assert main(["config", "check", "--root", str(tmp_path), *flags]) == 1
    assert "authorities.pem holds no certificates of authorities" in capsys.readouterr().err


def test_config_check_looks_at_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and what is wrong with which setting."""
    (tmp_path / "file").touch()
    missing = tmp_path / "missing.pem"
    flags = ["--set", f"server.tls_certificate={missing}", "--set", f"server.tls_key={missing}"]

    assert main(["config", "check", "--root", str(tmp_path / "file"), *flags]) == 1
    assert capsys.readouterr().err == (
        f"lading: server.tls_certificate: cannot read {missing}: "
        "it must exist and be readable by the server's user\n"
        f"storage.root: {tmp_path / 'file'} is not a directory\n"
    )


def test_config_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a program reads."""
    assert main(["config", "show", "--json", "--workers", "3"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["settings"]["server"]["workers"] == 3
    assert shown["origins"]["server.workers"] == "flag"


def test_dev_is_refused_on_an_address_that_others_reach(capsys: pytest.CaptureFixture[str]) -> None:
    """Anonymous pushes are for the own machine only; exit code 2."""
    assert main(["serve", "--dev", "--listen", "0.0.0.0:5000"]) == 2
    assert capsys.readouterr().err == (
        "lading: --dev lets anyone push and pull, so it serves only this machine: "
        "listen on 127.0.0.1, not on 0.0.0.0, or leave --dev out\n"
    )


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the help."""
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("password", ["correct-horse\n", "a\tb", "a\udcff"])
def test_first_password_that_nobody_could_log_in_with_is_refused(password: str) -> None:
    with pytest.raises(SettingsInvalid, match="a password holds no control characters"):
        load({"auth.admin_password": password}, None)


def test_data_directory_without_a_name_is_refused(tmp_path: Path) -> None:
    """An empty variable must not make the working directory one."""
    with pytest.raises(SettingsInvalid, match="name the data directory"):
        load({"storage.root": ""}, None)
