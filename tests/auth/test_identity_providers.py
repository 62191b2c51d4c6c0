"""Identity providers: what can be one, and how it is kept."""

from types import SimpleNamespace

import pytest

from auth.errors import AlreadyThere, NotThere, ProviderInvalid, TooMany
from auth.identity_providers import IdentityProvider, IdentityProviders
from storage.metadata.generation import current_generation
from storage.metadata.sqlite import SqliteDatabase

GITHUB = "https://token.actions.githubusercontent.com"


@pytest.fixture
def providers(database: SqliteDatabase, clock: SimpleNamespace) -> IdentityProviders:
    return IdentityProviders(database, lambda: clock.time)


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        (GITHUB, "token.actions.githubusercontent.com"),
        ("https://gitlab.example.com:8443", "gitlab.example.com:8443"),
        ("https://oidc.eks.eu-west-1.amazonaws.com/id/D43CF17C2", "oidc.eks.eu-west-1.amazonaws.com/id/D43CF17C2"),
        ("https://Issuer.Example.com/Tenant", "issuer.example.com/Tenant"),
        ("https://tenant.eu.auth0.com/", "tenant.eu.auth0.com/"),
    ],
)
def test_a_provider_is_named_as_iam_names_it(issuer: str, name: str) -> None:
    """Trust policies that were written for AWS name the same providers here."""
    provider = IdentityProvider.of_issuer(issuer, ["sts.amazonaws.com"])

    assert provider.name == name
    assert provider.arn("123456789012") == f"arn:aws:iam::123456789012:oidc-provider/{name}"


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "token.actions.githubusercontent.com",
        "http://issuer.example.com",
        "ftp://issuer.example.com",
        "https://user@issuer.example.com",
        "https://user:secret@issuer.example.com",
        "https://issuer.example.com?tenant=1",
        "https://issuer.example.com#fragment",
        "https://issuer.example.com:0",
        "https://issuer.example.com:99999",
        "https://issuer.example.com:port",
        "https://issuer.example.com/*",
        "https://issuer.example.com/a b",
        "https://issuer.example.com/\n",
        "https://issuer.example.com\\@evil.example.com",
        "https://" + "a." * 130 + "com",
        "https://issuer",
        "https://localhost",
        "https://127.0.0.1",
        "https://2130706433",
        "https://0x7f.1",
        "https://169.254.169.254",
        "https://8.8.8.8",
        "https://[::1]",
        "https://[::ffff:10.0.0.1]",
    ],
)
def test_what_is_no_public_https_url_is_no_issuer(issuer: str) -> None:
    with pytest.raises(ProviderInvalid):
        IdentityProvider.of_issuer(issuer, ["lading"])


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:8080", "https://kubernetes.default.svc", "https://[fd00::1]:6443"]
)
def test_a_private_issuer_has_to_be_allowed(issuer: str) -> None:
    assert IdentityProvider.of_issuer(issuer, ["lading"], allow_private=True).issuer == issuer


@pytest.mark.parametrize(
    "url", ["http://keys.example.com/jwks", "https://10.0.0.1/jwks", "https://u:p@keys.example.com/"]
)
def test_keys_are_not_fetched_from_where_an_issuer_could_not_be(url: str) -> None:
    with pytest.raises(ProviderInvalid):
        IdentityProvider.of_issuer(GITHUB, ["lading"], jwks_url=url)


@pytest.mark.parametrize("audiences", [[], ["a"] * 101, [""], ["two words"], ["a" * 256], ["a\n"]])
def test_a_provider_has_one_to_a_hundred_audiences(audiences: list[str]) -> None:
    with pytest.raises(ProviderInvalid):
        IdentityProvider.of_issuer(GITHUB, audiences)


async def test_a_provider_is_kept_as_it_was_made(providers: IdentityProviders) -> None:
    made = await providers.create(GITHUB, ["b", "a", "b"], jwks_url="https://keys.example.com/jwks?v=1")

    assert made == IdentityProvider(
        "token.actions.githubusercontent.com", GITHUB, ("b", "a"), "https://keys.example.com/jwks?v=1"
    )
    assert await providers.find("token.actions.githubusercontent.com") == made
    assert await providers.providers() == [made]


async def test_an_issuer_is_trusted_once(providers: IdentityProviders) -> None:
    await providers.create(GITHUB, ["lading"])

    with pytest.raises(AlreadyThere):
        await providers.create(GITHUB, ["other"])


async def test_a_name_stands_for_one_issuer(providers: IdentityProviders) -> None:
    """Whatever the scheme: the name in a trust policy has none."""
    await providers.create("https://issuer.example.com", ["lading"])

    with pytest.raises(AlreadyThere):
        await providers.create("http://issuer.example.com", ["lading"], allow_private=True)


async def test_a_provider_is_changed_as_a_whole(providers: IdentityProviders) -> None:
    made = await providers.create("https://issuer.internal.example", ["a"], allow_private=True)

    changed = await providers.update(made.name, ["b"], jwks_url="https://keys.example.com/jwks")

    assert changed == IdentityProvider(made.name, made.issuer, ("b",), "https://keys.example.com/jwks")
    assert await providers.find(made.name) == changed


async def test_what_is_not_there_is_neither_found_nor_changed_nor_deleted(providers: IdentityProviders) -> None:
    with pytest.raises(NotThere):
        await providers.find("issuer.example.com")
    with pytest.raises(NotThere):
        await providers.update("issuer.example.com", ["a"])
    with pytest.raises(NotThere):
        await providers.delete("issuer.example.com")


async def test_there_are_a_hundred_providers_at_most(providers: IdentityProviders) -> None:
    for number in range(100):
        await providers.create(f"https://issuer-{number}.example.com", ["lading"])

    with pytest.raises(TooMany):
        await providers.create("https://one-more.example.com", ["lading"])


async def test_every_change_is_seen_by_whoever_caches(providers: IdentityProviders, database: SqliteDatabase) -> None:
    generations = [await database.read(current_generation)]
    made = await providers.create(GITHUB, ["a"])
    generations.append(await database.read(current_generation))
    await providers.update(made.name, ["b"])
    generations.append(await database.read(current_generation))
    await providers.delete(made.name)
    generations.append(await database.read(current_generation))

    assert generations == [0, 1, 2, 3]
    assert await providers.providers() == []
