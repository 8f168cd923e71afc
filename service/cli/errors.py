"""What a command line can lack beside what typer checks."""

from constitutions.errors import CharterError


class NoKey(CharterError):
    """A command that asks the service, or an endpoint that wants a key, was given none."""


class UnreadableRequest(CharterError):
    """A run's body that is not one."""
