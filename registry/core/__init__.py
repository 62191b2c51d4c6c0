"""The rules of a registry: no HTTP, no SQL text, no caller identity."""
