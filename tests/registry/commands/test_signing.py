"""`lading signing`."""

import re

import pytest

from tests.registry.commands.conftest import Run


def test_keys_take_turns(lading: Run) -> None:
    """For people, and for programs."""
    first = lading("signing", "list", "--json").document[0]
    made = lading("signing", "rotate", "--algorithm", "EdDSA", "--json").document
    listed = lading("signing", "list", "--json").document

    assert (first["algorithm"], first["state"], first["retires_at"]) == ("ES256", "signing", None)
    assert (made["algorithm"], made["state"]) == ("EdDSA", "signing")
    assert [(key["kid"], key["state"]) for key in listed] == [(first["kid"], "verifying"), (made["kid"], "signing")]
    assert re.search(rf"{first['kid']} +ES256 +verifying  until 2", lading("signing", "list").out)


def test_key_waits_for_its_time(lading: Run) -> None:
    """Published before it signs."""
    made = lading("signing", "rotate", "--signs-in", "3600")

    assert re.search(r"signing key \S+ \(ES256\) signs from \S+Z on", made.out)
    assert [key["state"] for key in lading("signing", "list", "--json").document] == ["signing", "next"]


def test_compromised_key_is_retired(lading: Run) -> None:
    """After another has followed."""
    (first,) = lading("signing", "list", "--json").document
    refused = lading("signing", "retire", first["kid"])
    lading("signing", "rotate")

    retired = lading("signing", "retire", first["kid"])

    assert refused.code == 1
    assert "run `lading signing rotate` first" in refused.err
    assert "refused from now on" in retired.out
    assert [key["state"] for key in lading("signing", "list", "--json").document] == ["retired", "signing"]


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("signing", "retire", "x"), 1, "there is no signing key x: list them with `lading signing list`"),
        (("signing", "rotate", "--signs-in", "-1"), 1, "signs_in_seconds: Input should be greater than or equal to 0"),
        (("signing", "rotate", "--signs-in", "soon"), 2, "invalid float value"),
        (("signing", "rotate", "--algorithm", "HS256"), 2, "invalid choice"),
    ],
)
def test_failure_says_what_to_do(lading: Run, words: tuple[str, ...], code: int, complaint: str) -> None:
    ran = lading(*words)

    assert ran.code == code
    assert complaint in ran.err
