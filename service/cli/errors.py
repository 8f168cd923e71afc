"""What a command line can lack beside what typer checks."""

from constitutions.errors import CharterError


class NoKey(CharterError):
    """A command that asks the service, or an endpoint that wants a key, was given none."""


class NoModel(CharterError):
    """A command that needs a judge was told of none, or of one that is not there."""


class UnreadableRequest(CharterError):
    """A body of a run or a label project that is not one."""
