"""Storage remembers: content-addressed bytes and the metadata that names them."""
