"""The error of a request that is not answered: status and what the asker is told. Pure."""

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 - an answer, no fault of ours
    """Ends a request with a status; `who` is the asker as far as it is known by then."""

    def __init__(
        self,
        status: int,
        field: str,
        message: str,
        remedy: str,
        *,
        headers: Mapping[str, str] | None = None,
        who: str = "",
    ) -> None:
        """Name the parameter (or none), what is wrong, and what to do."""
        super().__init__(f"{field}: {message}; {remedy}")
        self.status, self.field, self.message, self.remedy = status, field, message, remedy
        self.headers = dict(headers or {})
        self.who = who
