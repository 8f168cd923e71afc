"""How long what can be done together waits for more of it: shorter than anybody notices, long enough for a burst."""

import asyncio
from collections.abc import Sized

_MOMENT_S = 0.001
_LONGEST_S = 0.01


async def others_have_come(waiting: Sized) -> None:
    """Return once a moment passes in which nobody joins those who are waiting, or after the longest wait.

    Without it, the first of many would go alone, and all others would wait for it.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _LONGEST_S
    before = 0
    while before < len(waiting) and loop.time() < end:
        before = len(waiting)
        await asyncio.sleep(_MOMENT_S)
