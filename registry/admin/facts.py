"""Facts that only the admin API raises; they know nothing of HTTP."""


class AdminError(Exception):
    """Base of what only the admin API raises."""


class PreconditionFailed(AdminError):
    """What is there is not what the client saw, or is there where the client wants to be the first."""

    def __init__(self, header: str) -> None:
        super().__init__(
            f"{header} does not hold: it was changed, made or removed meanwhile; read it again, and decide anew"
        )


class RequestInvalid(AdminError):
    """The body or the query does not follow the schema; `problems` has a field and a message each."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        told = "; ".join(
            f"{each['field']}: {each['message']}" if each["field"] else each["message"] for each in problems
        )
        super().__init__(told)
        self.problems = problems
