"""Several judges on one labelled set: what each, all together, and a cheap one before a strong one would be worth."""

from collections.abc import Mapping, Sequence

import numpy as np

from constitutions.schema import Constitution
from judges.calibration.panel_study import PanelStudy, study_panel
from judges.calibration.votes import VoteTable
from judges.client import ChatClient
from judges.gathering import all_of
from judges.labelled_sets import LabelledPair
from judges.protocols.probe import probe_labels
from judges.protocols.protocol import JudgeProtocol
from judges.records import Preference, PrincipleVerdict
from judges.replicas import Endpoint


async def panel_of(
    judges: Mapping[str, Endpoint], constitution: Constitution, protocol: JudgeProtocol, pairs: Sequence[LabelledPair]
) -> PanelStudy:
    """Ask every judge about every pair, under the principle that it names. Raises CalibrationError and JudgeError."""
    answers = [await _ask(endpoint, constitution, protocol, pairs) for endpoint in judges.values()]
    beliefs = [[v.verdict.p_a if isinstance(v.verdict, Preference) else None for v in own] for own in answers]
    answered_NJ = np.array([[p_a is not None for p_a in own] for own in beliefs]).T
    p_a_NJ = np.array([[0.5 if p_a is None else p_a for p_a in own] for own in beliefs]).T
    label_N = np.array([pair.label_p_a for pair in pairs])
    # Which reply is called A says nothing, and in many sets the better one always is: every other pair is turned round.
    turned_N = np.arange(len(pairs)) % 2 == 1
    names = tuple(f"{number} {pair.comparison.id}" for number, pair in enumerate(pairs))
    table = VoteTable(names, tuple(judges), np.where(turned_N[:, None], 1 - p_a_NJ, p_a_NJ), answered_NJ)
    return study_panel(table, np.where(turned_N, 1 - label_N, label_N), [pair.comparison.prompt_id for pair in pairs])


async def _ask(
    endpoint: Endpoint, constitution: Constitution, protocol: JudgeProtocol, pairs: Sequence[LabelledPair]
) -> tuple[PrincipleVerdict, ...]:
    principles = {principle.id: principle for principle in constitution.judged}
    async with ChatClient([endpoint]) as client:
        await probe_labels(client, protocol)
        return await all_of(
            protocol.judge(client, pair.comparison, principles[str(pair.principle_id)]) for pair in pairs
        )
