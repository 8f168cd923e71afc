"""When a judge fails as a server, not as a judge: such answers say nothing, and are not kept.

Left out: a server of ours that died, which is started again (`stages.py`).
"""

from collections.abc import Sequence

from judges.records import Abstention
from service.errors import RunFailed

MOST_FAULTS = 0.5
FAULTS = frozenset({"server_error", "timed_out", "unreadable"})


def refuse_faulty(judge: str, outcomes: Sequence[object]) -> None:
    """Raise RunFailed where more than half of the outcomes are abstentions that the server's faults caused."""
    faults = [one for one in outcomes if isinstance(one, Abstention) and one.cause in FAULTS]
    if len(faults) > MOST_FAULTS * len(outcomes):
        raise RunFailed(
            f"the judge {judge!r} failed on {len(faults)} of {len(outcomes)} questions ({faults[0].cause}: "
            f"{faults[0].raw[:300]}); mend the judge, then resume the run"
        )
