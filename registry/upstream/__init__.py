"""What this registry asks of other servers."""
