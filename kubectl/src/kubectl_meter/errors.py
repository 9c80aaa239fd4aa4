"""The one error that a user sees: what is wrong, in which field, and what to do about it."""


class MeterError(Exception):
    """Ends the command with its exit code."""

    exit_code = 1

    def __init__(self, message: str, *, field: str = "", remedy: str = "") -> None:
        """`field`: option or path in a document; `remedy`: what to do."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.remedy = remedy


class WrongUsage(MeterError):  # noqa: N818 - as click's BadParameter
    """Options and arguments that cannot be, or not together; the cluster was not asked."""

    exit_code = 2
