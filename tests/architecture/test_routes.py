"""Access is decided from the action that a route's row names, so every route has a row and every row an action."""

from registry.admin.routes import ROUTES as ADMIN
from registry.http.routes import PUBLIC
from registry.oci.routes import ROUTES as OCI

# What anybody may ask: to log in, to verify a token, and whether the server is well.
_FOR_EVERYBODY = {
    ("GET", "/auth/token"),
    ("POST", "/auth/token"),
    ("GET", "/auth/jwks.json"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/admin/openapi.json"),
}


def test_a_route_without_an_action_is_one_of_the_few_for_everybody() -> None:
    public = {(route.method, route.path) for route in (*OCI, *ADMIN) if route.actions == PUBLIC}

    assert public == _FOR_EVERYBODY


def test_a_handler_stands_for_one_set_of_actions() -> None:
    actions = {(route.handler, route.actions) for route in (*OCI, *ADMIN)}

    assert len(actions) == len({handler for handler, _ in actions})


def test_no_route_is_listed_twice() -> None:
    listed = [(route.method, route.path) for route in (*OCI, *ADMIN)]

    assert len(listed) == len(set(listed))
