"""What a command line can lack beside what typer checks."""

from constitutions.errors import CharterError


class NoKey(CharterError):
    """A command that asks the service was given no API key."""


class UnreadableRequest(CharterError):
    """A run's body that is not one."""
