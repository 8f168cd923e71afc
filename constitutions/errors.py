"""The root of every error that Charter raises on purpose.

Errors here know no HTTP: `service/api/problems.py` maps them.
"""


class CharterError(Exception):
    """Something the caller can mend. The message says what is wrong, where, and what to do."""


class ConstitutionError(CharterError):
    """A constitution that cannot be accepted. `problems` lists every finding, the first one is in the message."""

    def __init__(self, problems: "tuple[str, ...]") -> None:
        self.problems = problems
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
