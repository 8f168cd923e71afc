"""A judge's grade as a score: direct AI feedback (RLAIF, arXiv:2309.00267, section 2.3), no reward model between.

Each reply is graded alone under each judged principle of a constitution, by the expected level over the judge's first
token. Left out: which judge is to be trusted (`charter judge qualify` says).
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from constitutions.loader import load_constitution_file
from judges.client import ChatClient, ClientSettings
from judges.gathering import all_of
from judges.protocols.grades import Grade, Graded
from judges.protocols.registry import load_protocol
from judges.records import Abstention
from judges.replicas import Endpoint
from training.configs import OnlineConfig
from training.errors import ConfigError
from training.ranks import this_rank
from training.rollouts import Rollout
from training.scorers import scoring_principles

_SOCKET = "unix:"


@dataclass(frozen=True, slots=True)
class GradingJudge:
    """Which judge, how it grades and how hard it is driven. `url` is an OpenAI-compatible server's, or `unix:` and a
    socket's path; `key_env` names the variable that holds its key, empty where it wants none."""

    url: str
    model: str
    protocol: str = "pointwise"
    key_env: str = ""
    settings: ClientSettings = field(default_factory=ClientSettings)

    @property
    def endpoint(self) -> Endpoint:
        """Where it is asked. Raises ConfigError where the key is not in the environment."""
        if self.url.startswith(_SOCKET):
            return Endpoint(self.model, uds=self.url.removeprefix(_SOCKET))
        key = os.environ.get(self.key_env) if self.key_env else None
        if self.key_env and key is None:
            raise ConfigError(f"judge_key_env: ${self.key_env} is not set; export it, or leave judge_key_env out")
        return Endpoint(self.model, self.url, api_key=key)


def judge_of(config: OnlineConfig) -> GradingJudge:
    """The config's. Of several ranks each drives it with its part."""
    world = this_rank().world
    settings = ClientSettings(
        concurrency=-(-config.judge_concurrency // world),
        timeout_s=config.judge_timeout_s,
        deadline_s=max(ClientSettings().deadline_s, 3 * config.judge_timeout_s),
        max_tokens_total=-(-config.judge_tokens_total // world) or None,
    )
    return GradingJudge(config.judge_url, config.judge_model, config.judge_protocol, config.judge_key_env, settings)


class JudgeScorer:
    """The mean grade by the principles' weights, 0 to 1; a reply abstains where the judge does under any of them.

    `principles` are the ids of those that count, all judged ones where it is empty. Use as a context manager. Raises
    ConfigError, ConstitutionError, ProtocolError; while it scores, JudgeUnavailable where the judge is down.
    """

    name = "judge"

    def __init__(self, constitution: Path, judge: GradingJudge, principles: Sequence[str] = ()) -> None:
        law = load_constitution_file(constitution)
        named = scoring_principles([principle.id for principle in law.principles], principles)
        self._principles = [principle for principle in law.judged if principle.id in named]
        if not self._principles:
            raise ConfigError(
                f"judge_url: {constitution} has no judged principle{' among those named' if principles else ''}; "
                "add one, or leave judge_url out"
            )
        graded = load_protocol(judge.protocol)
        if not isinstance(graded, Graded):
            raise ConfigError(f"judge_protocol: {judge.protocol!r} compares replies; take pointwise or proposition")
        self._protocol = graded
        self._endpoint, self._settings = judge.endpoint, judge.settings
        self._loop = asyncio.Runner()

    def __enter__(self) -> "JudgeScorer":
        self._client = self._loop.run(_opened(self._endpoint, self._settings))
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


async def _opened(endpoint: Endpoint, settings: ClientSettings) -> ChatClient:
    """Made where its loop runs."""
    return ChatClient([endpoint], settings)
