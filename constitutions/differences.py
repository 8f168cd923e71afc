"""What changes from one constitution to another, principle by principle. Left out: how it is shown."""

from dataclasses import asdict, dataclass

from pydantic import JsonValue, TypeAdapter

from constitutions.canonical import principle_sha256
from constitutions.schema import Constitution, Principle

_JSON: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
_HEADER = ("name", "version", "description")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after; None where it was not given."""

    field: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True)
class PrincipleChange:
    """A principle whose fields changed. `verdicts_change` is true where its verdicts have to be made anew."""

    id: str
    fields: tuple[FieldChange, ...]
    verdicts_change: bool


@dataclass(frozen=True, slots=True)
class Reweighting:
    """A principle that counts more or less than before."""

    id: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Renaming:
    """A principle that gives the same verdicts under another id."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ConstitutionDifference:
    """Ids stand in the order of their constitution. A renamed principle is neither added nor removed."""

    header: tuple[FieldChange, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[Renaming, ...]
    changed: tuple[PrincipleChange, ...]
    reweighted: tuple[Reweighting, ...]
    reordered: bool

    @property
    def is_empty(self) -> bool:
        """True where the two have the same hash."""
        return not (
            self.header
            or self.added
            or self.removed
            or self.renamed
            or self.changed
            or self.reweighted
            or self.reordered
        )

    def as_json(self) -> dict[str, JsonValue]:
        """For the wire."""
        return _JSON.validate_json(_JSON.dump_json(asdict(self)))


def diff_constitutions(old: Constitution, new: Constitution) -> ConstitutionDifference:
    """What to do to `old` to get `new`."""
    before = {principle.id: principle for principle in old.principles}
    after = {principle.id: principle for principle in new.principles}
    renamed = _renamings(before, after)
    new_id = {renaming.before: renaming.after for renaming in renamed}
    kept = {id_: new_id.get(id_, id_) for id_ in before if new_id.get(id_, id_) in after}
    changes = [_principle_change(before[was], after[is_]) for was, is_ in kept.items()]
    return ConstitutionDifference(
        header=_changes(old.model_dump(mode="json", include=set(_HEADER)), new.model_dump(mode="json")),
        added=tuple(id_ for id_ in after if id_ not in kept.values()),
        removed=tuple(id_ for id_ in before if id_ not in kept),
        renamed=renamed,
        changed=tuple(change for change in changes if change.fields),
        reweighted=tuple(
            Reweighting(is_, before[was].weight, after[is_].weight)
            for was, is_ in kept.items()
            if before[was].weight != after[is_].weight
        ),
        reordered=list(kept.values()) != [id_ for id_ in after if id_ in kept.values()],
    )


def _renamings(before: dict[str, Principle], after: dict[str, Principle]) -> tuple[Renaming, ...]:
    """Each id that went is paired with the first new id, not yet taken, that gives the same verdicts."""
    fresh = {id_: principle_sha256(principle) for id_, principle in after.items() if id_ not in before}
    renamings = []
    for id_, principle in before.items():
        matter = principle_sha256(principle)
        match = next((new for new, other in fresh.items() if other == matter), None)
        if id_ not in after and match is not None:
            del fresh[match]
            renamings.append(Renaming(id_, match))
    return tuple(renamings)


def _principle_change(old: Principle, new: Principle) -> PrincipleChange:
    fields = old.model_dump(mode="json", exclude={"id", "weight"})
    others = new.model_dump(mode="json", exclude={"id", "weight"})
    return PrincipleChange(
        id=new.id,
        fields=_changes(dict.fromkeys(others) | fields, others),
        verdicts_change=principle_sha256(old) != principle_sha256(new),
    )


def _changes(before: dict[str, JsonValue], after: dict[str, JsonValue]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(field, value, after.get(field)) for field, value in before.items() if value != after.get(field)
    )
