"""What the service's own programs log, and where: to stderr, one line each."""

import logging

# A hundred lines of migrations at the first start would hide the first API key.
_TALKATIVE = ("alembic", "dbos", "httpx")


def log_to_stderr() -> None:
    """From INFO on; of talkative libraries, warnings only."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
