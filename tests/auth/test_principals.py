"""Who is asking, and under which name."""

from auth.principals import ANONYMOUS, Principal, PrincipalKind


def test_root_user_has_the_arn_of_its_account() -> None:
    """AWS names the root user after the account, not after its login."""
    assert Principal("123456789012", "admin", PrincipalKind.ROOT).arn == "arn:aws:iam::123456789012:root"


def test_user_has_an_arn_with_its_name() -> None:
    """A policy can name one user."""
    assert Principal("123456789012", "bob", PrincipalKind.USER).arn == "arn:aws:iam::123456789012:user/bob"


def test_anonymous_caller_has_no_account() -> None:
    """No account's rule can take an anonymous caller for one of its own."""
    assert ANONYMOUS.account_id == ""
    assert ANONYMOUS.arn == "anonymous"
