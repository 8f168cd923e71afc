"""The way a run's judge is asked: a protocol of ours by its name, or the owner's in the folder `CHARTER_PROTOCOLS`.

A run names protocols, never paths: whoever may start a run may not read any folder of this machine.
"""

from pathlib import Path

from judges.errors import ProtocolError
from judges.protocols.folder import load_folder
from judges.protocols.protocol import JudgeProtocol
from judges.protocols.registry import PROTOCOLS


def protocol_named(name: str, folder: Path | None, setting: str = "judge.protocol") -> JudgeProtocol:
    """A new one for each run, since some keep what they made. Raises ProtocolError with the names that there are.

    `setting` is where the run names it.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]()
    own = sorted(entry.name for entry in folder.expanduser().iterdir() if entry.is_dir()) if folder else []
    if folder and name in own:
        return load_folder(folder.expanduser() / name)
    raise ProtocolError(f"{setting}: there is no {name!r}; choose one of {', '.join([*PROTOCOLS, *own])}")
