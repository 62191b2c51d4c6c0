"""The table of this door."""

from registry.admin import health, metrics
from registry.http.routes import PUBLIC, Route

# Load balancers and scrapers carry no credentials, and what these tell names no content.
ROUTES = (
    Route("GET", "/healthz", health.health, PUBLIC),
    Route("GET", "/readyz", health.ready, PUBLIC),
    Route("GET", "/metrics", metrics.metrics, PUBLIC),
)
