"""What a constitution is: a name, a version and principles, each judged by a model or checked by a function.

Left out: reading YAML (`loader.py`), hashes (`canonical.py`), the checks themselves (`checks/`).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Weight = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False, strict=True)]
# Under these keys stands text, also where it looks like a number or a truth value: `version: 1.10`, `better: Yes`.
TEXT_KEYS = frozenset(
    ("name", "version", "description", "id", "text", "aspect", "critique", "revise", "compare")
) | frozenset(("prompt", "role", "content", "better", "worse", "note"))


def _named_check(value: object) -> object:
    """`check: complete` is short for `check: {complete: true}`."""
    return {value: True} if isinstance(value, str) else value


CheckEntry = Annotated[dict[str, JsonValue], BeforeValidator(_named_check)]


class Frozen(BaseModel):
    """Frozen, and it rejects keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Turn(Frozen):
    """One turn of an example's conversation."""

    role: Literal["system", "user", "assistant"]
    content: LongText


class Example(Frozen):
    """A pair whose verdict is known: under the principle, `better` is better than `worse`. A principle's unit test."""

    prompt: LongText | tuple[Turn, ...]
    better: LongText
    worse: Annotated[str, StringConstraints(max_length=20_000)]
    note: str = ""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The prompt as a conversation."""
        return (Turn(role="user", content=self.prompt),) if isinstance(self.prompt, str) else self.prompt


class JudgedPrinciple(Frozen):
    """A principle that a model judges. The optional wordings replace the default templates' question."""

    kind: Literal["judged"] = "judged"
    id: Name
    text: Text
    aspect: Name = "helpful"
    weight: Weight = 1.0
    critique: Text | None = None
    revise: Text | None = None
    compare: Text | None = None
    examples: tuple[Example, ...] = ()


class CheckedPrinciple(Frozen):
    """A principle that a deterministic check judges. `check` names exactly one check and its parameters."""

    kind: Literal["checked"]
    id: Name
    text: Text
    aspect: Name = "helpful"
    weight: Weight = 1.0
    check: CheckEntry
    examples: tuple[Example, ...] = ()


Principle = Annotated[JudgedPrinciple | CheckedPrinciple, Field(discriminator="kind")]


class Constitution(Frozen):
    """The law of one assistant. Versions are immutable: another text is another version."""

    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,31}$")] = "1"
    description: Annotated[str, StringConstraints(max_length=4000)] = ""
    principles: Annotated[tuple[Principle, ...], Field(min_length=1, max_length=200)]

    @property
    def judged(self) -> tuple[JudgedPrinciple, ...]:
        """The principles that need a model."""
        return tuple(p for p in self.principles if isinstance(p, JudgedPrinciple))

    @property
    def checked(self) -> tuple[CheckedPrinciple, ...]:
        """The principles that need none."""
        return tuple(p for p in self.principles if isinstance(p, CheckedPrinciple))
