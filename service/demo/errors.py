"""What can go wrong in the demo itself. What the service refuses comes as the client's own error."""

from constitutions.errors import CharterError


class DemoError(CharterError):
    """A part of the demo failed; the message names it and says what to do."""
