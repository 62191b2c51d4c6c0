"""Where the root key comes from: a file, the environment, or a key management service."""
