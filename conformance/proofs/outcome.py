"""How a proof ends when it does not pass."""


class Failed(Exception):
    """The server did not keep the promise."""


class Skipped(Exception):
    """The machine cannot run the proof; the reason says what is missing."""


class Inconclusive(Exception):
    """The proof ran, but what it saw would not have shown a fault."""


def check(condition: object, otherwise: str) -> None:
    """Raise Failed with this reason unless the condition holds."""
    if not condition:
        raise Failed(otherwise)
