"""Stores of immutable bytes, each behind the BlobStore protocol of `interface`."""
