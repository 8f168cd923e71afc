"""Knobs that say nothing without another one: refused where that is not set, since nobody would read them."""

from collections.abc import Mapping

from training.errors import UnreadKnob

# A knob, and the one that it says something of.
SAYS_OF: Mapping[str, str] = {
    "judge_model": "judge_url",
    "judge_key_env": "judge_url",
    "judge_protocol": "judge_url",
    "judge_weight": "judge_url",
    "judge_concurrency": "judge_url",
    "judge_timeout_s": "judge_url",
    "judge_tokens_total": "judge_url",
    "reward_weight": "reward_model",
    "reward_ensemble": "reward_model",
    "spread_weight": "reward_ensemble",
    "check_weight": "constitution",
    "principles": "constitution",
    "patience_reads": "patience",
    "ptx_rows": "ptx_weight",
}


def refuse_unread(values: Mapping[str, object], defaults: Mapping[str, object], where: str) -> None:
    """`values` are those that were given. One at its default is no fault, for it changes nothing."""
    set_ones = {name for name, value in values.items() if value != defaults.get(name)}
    for knob, other in SAYS_OF.items():
        if knob in set_ones and other not in set_ones:
            raise UnreadKnob(where, knob, other)
