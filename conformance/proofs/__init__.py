"""Black-box proofs against a Lading server, on nothing but the standard library."""
