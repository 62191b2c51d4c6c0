"""Actions, resources, and the words of Docker's scopes."""

from auth.actions import REGISTRY, SCOPE_WORDS, Action, Resource


def test_every_action_says_what_a_token_needs() -> None:
    """No action can slip past a token's ceiling by being left out of the table."""
    assert not [action for action in Action if action not in SCOPE_WORDS]


def test_repository_has_the_arn_of_ecr() -> None:
    """A policy written for ECR names the same resource here."""
    resource = Resource.of_repository("team/app", account_id="123456789012", region="local")

    assert resource == Resource("arn:aws:ecr:local:123456789012:repository/team/app", "team/app")


def test_registry_is_every_resource() -> None:
    """Actions that no repository confines are asked for on `*`, as in AWS."""
    assert Resource("*", None) == REGISTRY
