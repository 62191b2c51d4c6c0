"""Benchmarks that compare Lading with other registries, in the same run on the same machine."""
