"""What every way of judging offers. Left out: which one is right for a judge; qualification (qualify.py) tells that."""

from typing import Protocol

from constitutions.schema import JudgedPrinciple
from judges.client import JudgeClient
from judges.records import Comparison, PrincipleVerdict


class JudgeProtocol(Protocol):
    """One way to judge a pair. Judging (a, b) and (b, a) gives p and 1 - p, as far as the judge answers the same twice.

    `template_sha256` covers every text and setting that can change a verdict: it belongs in the verdict's key.
    `requests` is how many requests a verdict takes at most. `labels` are the first tokens that it reads, empty where it
    reads none: `probe.py` asks whether the judge has them.
    """

    @property
    def template_sha256(self) -> str: ...

    @property
    def requests(self) -> int: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    async def judge(
        self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple
    ) -> PrincipleVerdict: ...
