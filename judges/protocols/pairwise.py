"""Which of two replies is better? One token, both orders: the default, and every user's template that shows two."""

from dataclasses import dataclass, field

from constitutions.schema import JudgedPrinciple
from judges.client import JudgeClient
from judges.compare import compare
from judges.records import Comparison, PrincipleVerdict
from judges.templates import Template, load_template


@dataclass(frozen=True, slots=True)
class Pairwise:
    """Two requests a verdict. With our own template its hash is that template's alone, as shards have always had it."""

    template: Template = field(default_factory=lambda: load_template("compare"))
    labels: tuple[str, ...] = field(default=("A", "B"), init=False)
    requests: int = field(default=2, init=False)

    @property
    def template_sha256(self) -> str:
        return self.template.sha256

    async def judge(self, client: JudgeClient, comparison: Comparison, principle: JudgedPrinciple) -> PrincipleVerdict:
        return await compare(client, comparison, principle, template=self.template)
