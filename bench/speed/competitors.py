"""Who is measured in which rows."""

from bench.files import DISTRIBUTION_TOKENS, DOCKER, LADING_OPEN, LADING_SEALED, ZOT
from bench.peers import DISTRIBUTION, LADING

PEERS = (DISTRIBUTION, DOCKER, ZOT)
WITH_PEERS = (LADING, *PEERS)
ALL = (LADING, LADING_SEALED, *PEERS)
TOKENS = (LADING, LADING_OPEN, DISTRIBUTION_TOKENS)
WITH_REFERRERS = (LADING, ZOT)
"""The others have no referrers API."""

ALL_PEERS = (*PEERS, DISTRIBUTION_TOKENS)
"""Whom Lading is compared with; no row has one of them with tokens beside one without."""
LADINGS = (LADING, LADING_SEALED, LADING_OPEN)
