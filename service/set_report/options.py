"""What an examination of a set takes beside its rows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How a set is examined.

    - `clusters`: how many kinds of prompts to tell apart; fewer where there are few prompts.
    - `near`: texts whose word triples overlap at least so far (Jaccard, 0 to 1) are near-duplicates. Lower it to find
      looser copies, at the cost of more false ones.
    - `most_rows`: of a larger set, prompts are drawn by hash until about so many rows are left.
    """

    clusters: int = 12
    near: float = 0.8
    most_rows: int = 100_000
