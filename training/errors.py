"""What can go wrong in training and be mended by the caller: exit code 2, of NoAdapter 3, of OutOfMemory 4."""

from constitutions.errors import CharterError

NO_ADAPTER_STATUS = 3
OUT_OF_MEMORY_STATUS = 4


class TrainingError(CharterError):
    """A training command cannot go on. The message names the knob, the row or the file."""


class ConfigError(TrainingError):
    """A config that cannot be read: names the key and, where one is near, the key that was meant."""


class RowError(TrainingError):
    """A preference row that cannot be used: names the file and the line, or the row's id."""


class NoAdapter(TrainingError):
    """These settings lead to no adapter on these rows, others may: a limit is broken at once, or a number is lost."""


class LostNumber(NoAdapter):
    """A loss, a gradient or a metric is no number any more."""


class LostReply(LostNumber):
    """A sampler cannot write a reply to `prompt`, its tokens: the next token's probabilities are no numbers."""

    def __init__(self, prompt: tuple[int, ...]) -> None:
        super().__init__(
            "the policy's probabilities of a reply's next token are no numbers; lower learning_rate, or look at the "
            "prompt"
        )
        self.prompt = prompt


class OutOfMemory(TrainingError):
    """The GPU or the machine has no memory left; the same settings may do with less of it."""


class RunFolderBusy(TrainingError):
    """Another process is training in this folder."""


class OtherRankFailed(TrainingError):
    """Of several processes another one failed, and tells it; this one ends with it."""


class BundleError(TrainingError):
    """A bundle that does not hold what its manifest says."""
