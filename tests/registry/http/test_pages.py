"""Which page a request asks for, and the link to the one after."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from registry.core.errors import PageInvalid
from registry.core.repositories import Page
from registry.http.pages import link_to_next, page_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", Page("", None)),
        ("?n=5", Page("", 5)),
        ("?n=0", Page("", 0)),
        ("?n=005", Page("", 5)),
        ("?n=99999999999999999999", Page("", 99999999999999999999)),
        ("?last=a", Page("a", None)),
        ("?last=a%2Fb&n=1", Page("a/b", 1)),
        ("?n=1&n=2", Page("", 1)),
    ],
)
def test_page_is_read_from_the_query(query: str, page: Page) -> None:
    """Both parameters are optional."""
    assert page_of(make_mocked_request("GET", f"/v2/_catalog{query}").query) == page


@pytest.mark.parametrize(
    "asked", ["", "-1", "x", "1.5", "1e3", "+1", "0x1", "1_0", " 1", "1\n", "\u0661", "\u00b2", "9" * 21]
)
def test_count_that_is_none_is_invalid(asked: str) -> None:
    """Digits of ASCII alone, and not too many."""
    with pytest.raises(PageInvalid):
        page_of(make_mocked_request("GET", f"/v2/_catalog?n={quote(asked)}").query)


def test_link_leads_to_what_follows() -> None:
    """Same path, same size, after the last entry."""
    request = make_mocked_request("GET", "/v2/a/b/tags/list?n=2&last=x")

    assert (
        link_to_next(request.rel_url.raw_path, request.query, "y", size=2)
        == '</v2/a/b/tags/list?n=2&last=y>; rel="next"'
    )


@given(last=TEXT, more=st.lists(st.tuples(TEXT.filter(lambda name: name not in {"n", "last"}), TEXT), max_size=3))
def test_link_is_read_back(last: str, more: list[tuple[str, str]]) -> None:
    """Whatever the entry and the other parameters are, and nothing of them leaves the brackets."""
    request = make_mocked_request("GET", f"/v2/a/tags/list?{urlencode(more)}")

    link = link_to_next(request.rel_url.raw_path, request.query, last, size=7)

    assert link.isascii()
    assert link.isprintable()
    target = link.removeprefix("<").removesuffix('>; rel="next"')
    assert not {"<", ">", '"'} & set(target)
    read = parse_qsl(urlsplit(target).query, keep_blank_values=True)
    assert read == [*request.query.items(), ("n", "7"), ("last", last)]
