"""How a command of the trainers ends: in 0, or in one line on stderr and the status that goes with it."""

import sys
from collections.abc import Callable

from constitutions.errors import CharterError
from training.errors import NO_ADAPTER_STATUS, OUT_OF_MEMORY_STATUS, NoAdapter, OtherRankFailed, OutOfMemory


def exit_status(job: Callable[[], None]) -> int:
    """Do the job. 0: done; 2: an error that the caller can mend; 3: likewise, due to these settings on these rows;
    4: memory ran out."""
    try:
        job()
    except OtherRankFailed:
        return 2
    except CharterError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, OutOfMemory):
            return OUT_OF_MEMORY_STATUS
        return NO_ADAPTER_STATUS if isinstance(error, NoAdapter) else 2
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        print(
            f"error: {error.strerror or error}{place}; check the path, the rights and the free space", file=sys.stderr
        )
        return 2
    return 0
