"""What a reward model shows of itself: where its scores lie, and how it does on held-out prompts. No torch."""

from dataclasses import dataclass

from judges.measures import Measures


@dataclass(frozen=True, slots=True)
class NormalScores:
    """Mean and standard deviation of the scores of `replies` replies that were trained on: 0 and 1 to a policy."""

    mean: float
    sd: float
    replies: int


@dataclass(frozen=True, slots=True)
class RewardEvidence:
    """`held_out` is what a judge is measured by too, against the labels of rows whose prompts were kept from training.

    It is None where no prompt was.
    """

    normal: NormalScores
    held_out: Measures | None

    @property
    def beats_length(self) -> bool:
        """True where the accuracy's whole interval lies above what naming the longer reply would get."""
        if self.held_out is None or self.held_out.longest_wins.value is None:
            return False
        return self.held_out.low > self.held_out.longest_wins.value
