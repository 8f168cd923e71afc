"""What can go wrong in the service, without HTTP: `api/problems.py` maps each to a status."""

from typing import Literal

from constitutions.errors import CharterError

# Why a run failed, where it may be resumed with less memory; a trainer is `killed` where memory runs out, among others.
FailureCause = Literal["out_of_memory", "killed"]


class ServiceError(CharterError):
    """The root of the service's own errors."""


class NotFound(ServiceError):
    """No such resource in this project."""


class Conflict(ServiceError):
    """It exists with other content, something depends on it, or its state does not allow this."""


class AnsweredBefore(Conflict):
    """The task has this annotator's answer, and it is another one. That one stands until they change it."""


class OtherBody(ServiceError):
    """An Idempotency-Key came again with another request."""


class InvalidInput(ServiceError):
    """The body cannot be accepted. `problems` names each place."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class NotAllowed(ServiceError):
    """The key is missing, unknown or lacks the scope."""


class RunFailed(ServiceError):
    """A stage cannot go on; the message is what the run's owner reads. `cause` is for those who act upon it."""

    def __init__(self, message: str, cause: FailureCause | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class TrainerFailed(RunFailed):
    """The trainer's settings lead to no adapter on the run's rows; `complaint` is what it said."""

    def __init__(self, message: str, complaint: str) -> None:
        super().__init__(message)
        self.complaint = complaint


class Interrupted(ServiceError):
    """Nothing was stored, for no fault of the request: the same may be sent again."""


class StorageFull(ServiceError):
    """The disk or bucket took no more. Free space, then resume the run."""


def own_words(message: str) -> str:
    """A validator's message as we wrote it: pydantic puts the kind of error before it."""
    return message.removeprefix("Value error, ")
