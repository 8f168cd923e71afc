"""What people may call things: a pattern for the API's description, and the same in words for whoever breaks it."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, JsonValue, WithJsonSchema


@dataclass(frozen=True, slots=True)
class NameRule:
    """`pattern` is of the whole name; `words` say the same after "use"."""

    pattern: str
    words: str

    def keeps(self, name: str) -> bool:
        return re.fullmatch(self.pattern, name) is not None

    def kept(self, name: str) -> str:
        """The name as it is. Raises ValueError, without the name: a secret may stand in its place."""
        if not self.keeps(name):
            raise ValueError(f"use {self.words}")
        return name

    @property
    def schema(self) -> dict[str, JsonValue]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


SET_NAME = NameRule(
    r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}",
    "letters, digits, blanks, '.', '_' and '-', a letter or digit first, 128 characters at most",
)
_KEY = NameRule(
    r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}",
    "letters, digits, blanks, '.', '_' and '-', a letter or digit first, 64 characters at most",
)
_MODEL = NameRule(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    "letters, digits, '.', '_' and '-', a letter or digit first, 128 characters at most",
)
_ANNOTATOR = NameRule(
    r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}",
    "letters, digits, '.', '_', '@' and '-', a letter or digit first, 128 characters at most",
)
_VARIABLE = NameRule(
    r"[A-Z][A-Z0-9_]{0,127}",
    "the name of an environment variable, not its value: capital letters, digits and '_', a letter first, 128 "
    "characters at most",
)
_PERSON = NameRule(
    r"[^\x00-\x1f\x7f]{1,128}", "1 to 128 characters on one line, any but control characters such as tabs"
)
# Of a set or a label project; of the others as they say.
Name = Annotated[str, AfterValidator(SET_NAME.kept), WithJsonSchema(SET_NAME.schema)]
KeyName = Annotated[str, AfterValidator(_KEY.kept), WithJsonSchema(_KEY.schema)]
ModelName = Annotated[str, AfterValidator(_MODEL.kept), WithJsonSchema(_MODEL.schema)]
AnnotatorName = Annotated[str, AfterValidator(_ANNOTATOR.kept), WithJsonSchema(_ANNOTATOR.schema)]
VariableName = Annotated[str, AfterValidator(_VARIABLE.kept), WithJsonSchema(_VARIABLE.schema)]
PersonName = Annotated[str, AfterValidator(_PERSON.kept), WithJsonSchema(_PERSON.schema)]
