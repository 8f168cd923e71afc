"""A key that is no knob of a trainer: where it belongs, or what was meant. No torch."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from training.errors import ConfigError

# Settings of a run's `training` (POST /v1/runs) that are no trainer's knob, with what to do here.
_OF_A_RUN: Mapping[str, str] = {
    "sweep": "it compares adapters on development prompts; here train each value by itself, with --set beta=0.1",
    "development_share": "its prompts choose between the adapters of a sweep; here leave it out",
    "method": "here the command names it: python -m training dpo FILE",
    "sft_on": "here 'rows' are what sft imitates, whatever made them",
    "reward_adapter": "it is an adapter of the service; here ppo and rloo take its folder as 'reward_model'",
}


def refuse_unknown(keys: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raise ConfigError for the first key that is not known."""
    for key in keys:
        if key in known:
            continue
        if key in _OF_A_RUN:
            raise ConfigError(f"{where}: {key!r} is a setting of a run (training.{key}): {_OF_A_RUN[key]}")
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        meant = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
        raise ConfigError(f"{where}: unknown key {key!r}{meant}")
