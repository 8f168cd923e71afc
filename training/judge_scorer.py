"""A judge's grade as a score: direct AI feedback (RLAIF, arXiv:2309.00267, section 2.3), no reward model between.

Each reply is graded alone under each judged principle of a constitution, by the expected level over the judge's first
token. Left out: which judge is to be trusted (`charter judge qualify` says).
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from constitutions.loader import load_constitution_file
from judges.client import ChatClient
from judges.gathering import all_of
from judges.protocols.grades import Grade, Graded
from judges.protocols.registry import load_protocol
from judges.records import Abstention
from judges.replicas import Endpoint
from training.errors import ConfigError
from training.rollouts import Rollout

_SOCKET = "unix:"


class JudgeScorer:
    """The mean grade by the principles' weights, 0 to 1; a reply abstains where the judge does under any of them.

    `url` is an OpenAI-compatible server's, or `unix:` and a socket's path. Use as a context manager. Raises
    ConfigError, ConstitutionError, ProtocolError; while it scores, JudgeUnavailable where the judge is down.
    """

    name = "judge"

    def __init__(self, constitution: Path, url: str, model: str, protocol: str) -> None:
        self._principles = load_constitution_file(constitution).judged
        if not self._principles:
            raise ConfigError(f"judge_url: {constitution} has no judged principle; add one, or leave judge_url out")
        graded = load_protocol(protocol)
        if not isinstance(graded, Graded):
            raise ConfigError(f"judge_protocol: {protocol!r} compares replies; take pointwise or proposition")
        self._protocol = graded
        socket = url.removeprefix(_SOCKET) if url.startswith(_SOCKET) else None
        self._endpoint = Endpoint(model, uds=socket) if socket else Endpoint(model, url)
        self._loop = asyncio.Runner()

    def __enter__(self) -> "JudgeScorer":
        self._client = self._loop.run(_opened(self._endpoint))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._client.__aexit__(kind, error, trace))
        self._loop.close()

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float | Abstention]:
        return self._loop.run(self._scores(rollouts))

    async def _scores(self, rollouts: Sequence[Rollout]) -> tuple[float | Abstention, ...]:
        return await all_of(self._score(rollout) for rollout in rollouts)

    async def _score(self, rollout: Rollout) -> float | Abstention:
        prompt = rollout.asked.prompt
        grades = await all_of(
            self._protocol.grade(self._client, prompt, rollout.text, principle) for principle in self._principles
        )
        total = 0.0
        for principle, grade in zip(self._principles, grades, strict=True):
            if isinstance(grade, Abstention):
                return grade
            total += principle.weight * self._share(grade)
        return total / sum(principle.weight for principle in self._principles)

    def _share(self, grade: Grade) -> float:
        """Where the grade stands between the lowest level and the highest."""
        return sum(level * share for level, share in enumerate(grade.shares)) / (len(grade.shares) - 1)


async def _opened(endpoint: Endpoint) -> ChatClient:
    """Made where its loop runs."""
    return ChatClient([endpoint])
