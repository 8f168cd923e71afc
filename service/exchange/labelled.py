"""Labelled sets for a judge's examination: a file of any of our formats, or the rows of a preference set, as pairs.

The better reply comes as A, which says nothing to a judge that sees both orders. What people said twice of one pair
counts once; what they contradict each other on refuses the set. Left out: rows that no person labelled.
"""

import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from constitutions.schema import Constitution
from judges.errors import UnreadableLabels
from judges.labelled_sets import LabelledPair, checked_set, labelled_pair, read_llmbar, read_pairs, read_xstest
from service.errors import InvalidInput
from service.exchange.formats.registry import Format
from service.exchange.preferences import read_preferences
from service.exchange.records import decode
from training.rows import PreferenceRow

OwnFormat = Literal["pairs", "llmbar", "xstest"]
SetFormat = Literal[OwnFormat, Format]


def read_labelled(path: Path, format: SetFormat | None) -> tuple[LabelledPair, ...]:
    """The pairs of a file, `.gz` or not, their slice the file's name unless a line says otherwise.

    Without a format it is told by the first line. Raises UnreadableLabels, which names the file and the place.
    """
    name, data = path.name, path.read_bytes()
    plain = name.removesuffix(".gz")
    slice = Path(plain).stem
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if format is None and data[:4] != b"PAR1":
            format = _own_format(decode(data), plain)
        if format == "llmbar":
            return read_llmbar(decode(data), name, slice)
        if format == "xstest":
            return read_xstest(decode(data), name, slice)
        if format == "pairs":
            return read_pairs(decode(data), name, slice)
        return pairs_of_rows(read_preferences(data, plain, "", format, name), name, slice)
    except InvalidInput as error:
        raise UnreadableLabels(f"{name}: {str(error).replace('; nothing was stored', '')}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableLabels(f"{name}: not readable as gzip ({error}); pack it again") from error


def pairs_of_rows(rows: Iterable[PreferenceRow], name: str, slice: str) -> tuple[LabelledPair, ...]:
    """People's rows as labelled pairs; a belief of one half is a tie."""
    found: dict[tuple[str, float], LabelledPair] = {}
    for row in rows:
        if row.source == "human":
            label = 0.5 if row.p_chosen == 0.5 else 1.0
            pair = labelled_pair(row.prompt, row.chosen, row.rejected, label, slice)
            place = row.origin if row.origin.startswith(name) else f"{name}, row {row.id}"
            found.setdefault((pair.comparison.id, label), replace(pair, place=place))
    if not found:
        raise UnreadableLabels(f"{name}: no row of it was labelled by a person")
    if not any(pair.comparison.a.strip() and pair.comparison.b.strip() for pair in found.values()):
        raise UnreadableLabels(f"{name}: demonstrations, one reply to each prompt; a judge is examined on pairs")
    return checked_set(found.values(), name)


def under_principle(
    pairs: Sequence[LabelledPair], constitution: Constitution, named: str | None
) -> tuple[LabelledPair, ...]:
    """The pairs, those that name no principle under `named`, or under the only judged principle there is."""
    known = [principle.id for principle in constitution.judged]
    if named is not None and named not in known:
        raise UnreadableLabels(
            f"{named!r} is no judged principle of {constitution.name!r}; it has {', '.join(known) or 'none'}"
        )
    default = named or (known[0] if len(known) == 1 else None)
    without = next((pair for pair in pairs if pair.principle_id is None), None)
    if without is not None and default is None:
        raise UnreadableLabels(
            f"{without.place}: the label says nothing of a principle; name the one it is about with `principle`: "
            f"{', '.join(known) or 'this constitution has no judged one'}"
        )
    return tuple(replace(pair, principle_id=pair.principle_id or default) for pair in pairs)


def _own_format(text: str, name: str) -> OwnFormat | None:
    """Ours, LLMBar's or XSTest's, where the first line looks like it."""
    begin = text.lstrip()[:1]
    first = text.lstrip().split("\n", 1)[0]
    if begin == "[" and '"output_1"' in text and '"output_2"' in text:
        return "llmbar"
    if name.lower().endswith(".csv") and {"prompt", "label", "type"} <= set(first.strip().split(",")):
        return "xstest"
    if name.lower().endswith(".csv") or (begin == "{" and '"label"' in first and '"a"' in first):
        return "pairs"
    return None
