"""What can go wrong between us and a model server, one named error each.

Left out: an answer that was read but decides nothing. That is an `Abstention` (records.py), not an error.
"""

from constitutions.errors import CharterError


class JudgeError(CharterError):
    """A model server could not be used for one request."""


class JudgeUnavailable(JudgeError):
    """No replica answers: refused, broken off, or resting behind its breaker. The run should wait, not judge on."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class JudgeBusy(JudgeUnavailable):
    """The server answered 429 to the last attempt."""


class JudgeTimedOut(JudgeUnavailable):
    """The server took the request and did not finish in time."""


class JudgeServerError(JudgeUnavailable):
    """The server answered 5xx to the last attempt."""


class JudgeRejected(JudgeError):
    """The server answered 4xx: asking again would not help."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


class PromptTooLong(JudgeRejected):
    """The prompt and its reply do not fit the model's context."""


class JudgeUnreadable(JudgeError):
    """The server answered 200 with something that is not a chat completion."""


class BudgetSpent(JudgeError):
    """The run's token budget is used up."""


class LabelsMissing(JudgeError):
    """The judge cannot write `labels`, the tokens that a protocol reads: every verdict would be an abstention."""

    def __init__(self, message: str, labels: tuple[str, ...]) -> None:
        self.labels = labels
        super().__init__(message)


class EngineFailed(CharterError):
    """A managed model server did not come up, or went away. `log_tail` holds the last lines it wrote."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        self.log_tail = log_tail
        super().__init__(f"{message}\n{log_tail}" if log_tail else message)


class TemplateError(CharterError):
    """A template was given a field it does not have, or lacks one it needs."""


class ProtocolError(CharterError):
    """A protocol was asked for what it cannot do: a list of one reply, a clamp beyond one half, a name that is none."""
