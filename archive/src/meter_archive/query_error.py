"""The error of a question that cannot be answered as it stands; HTTP makes a 400 of it."""


class QueryError(ValueError):
    """A question with a wrong parameter, as the local API of a twin has it."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        """Name the parameter, what is wrong with it, and what to write instead."""
        super().__init__(f"{field}: {message}; {remedy}")
        self.field, self.message, self.remedy = field, message, remedy
