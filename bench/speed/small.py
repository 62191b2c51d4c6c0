"""Rows of small requests: manifests, small blobs, tokens and lists, and a few of them over TLS."""

from collections.abc import Callable

from bench.asking import Headers, Question, asking
from bench.loads import Load
from bench.peers import LADING
from bench.requests import request
from bench.speed.competitors import ALL, TLS, TLS_ENDING, TOKENS, WITH_PEERS, WITH_REFERRERS
from bench.stock import MANIFEST, Stock, Tagged
from bench.tokens import CATALOG, repository_scope

MANY_TAGS, MOST_TAGS = 10_000, 100_000
_FEW_TAGS = 10
_REPOSITORIES = 1_000
_AT_ONCE, _SLOW_AT_ONCE = 8, 4
_SECONDS, _QUICK_SECONDS = 2.5, 0.4
_PAGE = 100
# a tag of the middle, which no row moves
_MIDDLE = 2
Asked = Callable[[Stock], Question]


class _Rows:
    """Builds rows that last as long as the run is quick."""

    def __init__(self, *, is_quick: bool) -> None:
        self._seconds = _QUICK_SECONDS if is_quick else _SECONDS

    def row(self, name: str, registries: tuple[str, ...], about: Asked, connections: int = _AT_ONCE) -> Load:
        return asking(name, registries, about, connections=connections, seconds=self._seconds)

    def manifests(self, registries: tuple[str, ...], ending: str = "") -> list[Load]:
        """The same manifest in all ways to ask for it."""
        return [
            self.row(f"manifest by digest{ending}", registries, _manifest(_by_digest)),
            self.row(f"manifest by tag{ending}", registries, _manifest(_by_tag)),
            self.row(f"HEAD manifest by tag{ending}", registries, _manifest(_by_tag, is_head=True)),
        ]


def small_rows(*, is_quick: bool) -> list[Load]:
    """Manifests, blobs of 1 KiB, tags that move, and lists."""
    rows = _Rows(is_quick=is_quick)
    return [
        *rows.manifests(ALL),
        rows.row("HEAD blob", WITH_PEERS, _small_blob(is_head=True)),
        *(
            rows.row(f"blob of 1 KiB, {connections} at once", ALL, _small_blob(), connections)
            for connections in ((8,) if is_quick else (1, 8, 32))
        ),
        rows.row(f"manifest by tag, {MANY_TAGS:,} tags", WITH_PEERS, _manifest(_by_tag, MANY_TAGS)),
        rows.row(f"tag moved, {_FEW_TAGS} tags", WITH_PEERS, _moved_tag(_FEW_TAGS)),
        rows.row(f"tag moved, {MANY_TAGS:,} tags", WITH_PEERS, _moved_tag(MANY_TAGS)),
        *_listing_rows(rows, is_quick=is_quick),
    ]


def token_rows(*, is_quick: bool) -> list[Load]:
    """Manifests with tokens, and tokens."""
    rows = _Rows(is_quick=is_quick)
    return [*rows.manifests(TOKENS, ", tokens"), rows.row("token issued", (LADING,), _token)]


def small_tls_rows(*, is_quick: bool) -> list[Load]:
    """A manifest over TLS, and whether a blob is there."""
    rows = _Rows(is_quick=is_quick)
    found = [
        rows.row(f"manifest by tag{TLS_ENDING}", TLS, _manifest(_by_tag)),
        rows.row(f"HEAD blob{TLS_ENDING}", TLS, _small_blob(is_head=True)),
    ]
    return found[:1] if is_quick else found


def _listing_rows(rows: _Rows, *, is_quick: bool) -> list[Load]:
    """Tags, repositories and referrers, whole and by pages."""
    found = []
    counts = [(_FEW_TAGS, WITH_PEERS), (MANY_TAGS, WITH_PEERS), *([] if is_quick else [(MOST_TAGS, (LADING,))])]
    for count, registries in counts:
        found.append(rows.row(f"tags list of {count:,}", registries, _tags(count), _SLOW_AT_ONCE))
        if count > _PAGE:
            found.append(rows.row(f"tags page of {_PAGE} of {count:,}", registries, _tags_page(count), _SLOW_AT_ONCE))
    middle = f"&last=many/{_REPOSITORIES // _MIDDLE:05d}"
    found += [
        rows.row(f"catalog of {_REPOSITORIES:,}", WITH_PEERS, _catalog(f"n={_REPOSITORIES}"), _SLOW_AT_ONCE),
        rows.row(f"catalog page of {_PAGE} of {_REPOSITORIES:,}", WITH_PEERS, _catalog(f"n={_PAGE}{middle}"), 4),
    ]
    for count in (50,) if is_quick else (50, 1_000):
        found.append(rows.row(f"referrers of {count:,}", WITH_REFERRERS, _referrers(count), _SLOW_AT_ONCE))
    return found


def _by_digest(tagged: Tagged) -> str:
    return tagged.digest


def _by_tag(tagged: Tagged) -> str:
    return tagged.tags[len(tagged.tags) // _MIDDLE]


def _manifest(reference: Callable[[Tagged], str], count: int = _FEW_TAGS, *, is_head: bool = False) -> Asked:
    def about(stock: Stock) -> Question:
        tagged = stock.tagged(count)
        path = f"/v2/{tagged.repository}/manifests/{reference(tagged)}"
        return _reading(path, repository_scope(tagged.repository), is_head=is_head)

    return about


def _small_blob(*, is_head: bool = False) -> Asked:
    def about(stock: Stock) -> Question:
        repository, digest = stock.small_blob()
        return _reading(f"/v2/{repository}/blobs/{digest}", repository_scope(repository), is_head=is_head)

    return about


def _tags(count: int) -> Asked:
    return _listing(lambda stock: stock.tagged(count).repository, "/tags/list")


def _tags_page(count: int) -> Asked:
    def path(stock: Stock) -> str:
        return f"/tags/list?n={_PAGE}&last={_by_tag(stock.tagged(count))}"

    def about(stock: Stock) -> Question:
        return _listing(lambda stock: stock.tagged(count).repository, path(stock))(stock)

    return about


def _listing(repository: Callable[[Stock], str], path: str) -> Asked:
    def about(stock: Stock) -> Question:
        name = repository(stock)
        return _reading(f"/v2/{name}{path}", repository_scope(name))

    return about


def _catalog(query: str) -> Asked:
    def about(stock: Stock) -> Question:
        stock.repositories(_REPOSITORIES)
        return _reading(f"/v2/_catalog?{query}", CATALOG)

    return about


def _referrers(count: int) -> Asked:
    def about(stock: Stock) -> Question:
        repository, digest = stock.referred(count)
        return _reading(f"/v2/{repository}/referrers/{digest}", repository_scope(repository))

    return about


def _moved_tag(count: int) -> Asked:
    """Tags that name one manifest and then the other, so that each push changes something, and their number stays."""

    def about(stock: Stock) -> Question:
        tagged = stock.tagged(count, "moved" if count == _FEW_TAGS else "read")
        tags = [tag for tag in tagged.tags[: 4 * _PAGE] if tag != _by_tag(tagged)]

        def requests(headers: Headers) -> list[bytes]:
            typed = {**headers, "Content-Type": MANIFEST}
            path = f"/v2/{tagged.repository}/manifests/"
            return [request("PUT", path + tag, typed, each) for each in reversed(tagged.manifests) for tag in tags]

        return Question(repository_scope(tagged.repository), requests, expected=201)

    return about


def _token(stock: Stock) -> Question:
    login = stock.peer.login
    if login is None:
        raise ValueError(stock.peer.name)
    asked = request("GET", login.path(repository_scope(stock.tagged(_FEW_TAGS).repository)), login.basic)
    return Question("", lambda _: [asked])


def _reading(path: str, scope: str, *, is_head: bool = False) -> Question:
    method = "HEAD" if is_head else "GET"
    return Question(scope, lambda headers: [request(method, path, {**headers, "Accept": MANIFEST})], is_head=is_head)
