"""What can go wrong between us and a model server, or in fitting one to people's labels, one named error each.

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


class CannotRank(CharterError):
    """What was to be ranked has no order: one reply, or the same one twice."""


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


class CalibrationError(CharterError):
    """People's labels do not allow what was asked of them."""


class NoLabels(CalibrationError):
    """There is no label at all, or none for a verdict that was given."""


class TooFewLabels(CalibrationError):
    """There are labels, but not enough of them for an interval that would hold what it promises."""


class OneLabelClass(CalibrationError):
    """Every label names the same side: nothing tells a right verdict from a habit."""


class ContradictoryLabels(CalibrationError):
    """Every comparison's labels cancel out: people were asked, and together said nothing."""


class NotAProbability(CalibrationError):
    """A belief or a label is not a number, or lies outside 0 to 1."""


class UnequalLengths(CalibrationError):
    """Two columns that belong together have different lengths."""


class Undefined(CalibrationError):
    """The statistic has no value here, such as an agreement beyond chance where chance agrees always."""


class UnreadableCalibration(CalibrationError):
    """Stored JSON that is no calibration of ours."""


class UnreadableLabels(CharterError):
    """A set of labelled pairs that no judge can be examined on; the message names the file and the place."""


class ProtocolError(CharterError):
    """A protocol was asked for what it cannot do: a list of one reply, a clamp beyond one half, a name that is none."""
