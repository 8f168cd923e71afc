"""Every protocol by its name, and a user's by the path of its folder: nothing here is touched to add one."""

from collections.abc import Callable, Mapping
from pathlib import Path

from judges.errors import ProtocolError
from judges.protocols.critique_first import CritiqueFirst
from judges.protocols.debate import Debate
from judges.protocols.folder import load_folder
from judges.protocols.guided import Guided
from judges.protocols.pairwise import Pairwise
from judges.protocols.protocol import JudgeProtocol
from judges.protocols.reward import Reward

_SHIPPED = Path(__file__).with_name("shipped")

PROTOCOLS: Mapping[str, Callable[[], JudgeProtocol]] = {
    "pairwise": Pairwise,
    "listwise": lambda: load_folder(_SHIPPED / "listwise"),
    "pointwise": lambda: load_folder(_SHIPPED / "pointwise"),
    "proposition": lambda: load_folder(_SHIPPED / "proposition"),
    "critique-first": CritiqueFirst,
    "reference": lambda: Guided(("reference",)),
    "metrics": lambda: Guided(("metrics",)),
    "metrics-and-reference": Guided,
    "debate": Debate,
    "reward": Reward,
}


def load_protocol(name: str) -> JudgeProtocol:
    """A protocol of ours by name, or a folder's by its path (one that has a slash in it, or exists)."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]()
    if "/" in name or Path(name).is_dir():
        return load_folder(Path(name))
    raise ProtocolError(f"no protocol {name!r}; choose one of {', '.join(PROTOCOLS)}, or give a folder's path")
