"""Encryption at rest: the format of sealed objects, pure: no I/O. Keys come from whoever asks."""
