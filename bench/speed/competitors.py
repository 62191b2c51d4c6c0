"""Who is measured in which rows."""

from bench.files import (
    DISTRIBUTION_TLS,
    DISTRIBUTION_TOKENS,
    DOCKER,
    LADING_OPEN,
    LADING_SEALED,
    LADING_TLS,
    ZOT,
    ZOT_TLS,
)
from bench.peers import DISTRIBUTION, LADING

PEERS = (DISTRIBUTION, DOCKER, ZOT)
WITH_PEERS = (LADING, *PEERS)
ALL = (LADING, LADING_SEALED, *PEERS)
TOKENS = (LADING, LADING_OPEN, DISTRIBUTION_TOKENS)
TLS = (LADING_TLS, DISTRIBUTION_TLS, ZOT_TLS)
TLS_ENDING = ", TLS"
WITH_REFERRERS = (LADING, ZOT)
"""The others have no referrers API."""

ALL_PEERS = (*PEERS, DISTRIBUTION_TOKENS, DISTRIBUTION_TLS, ZOT_TLS)
"""Whom Lading is compared with; no row has one of them with tokens or TLS beside one without."""
COMPARED = (LADING, LADING_TLS)
"""Who is compared with them in plots; no row has both."""
LADINGS = (LADING, LADING_SEALED, LADING_OPEN, LADING_TLS)
