"""A trained reward model as a scorer: its adapter and its head on the policy's own base, switched on to score.

The score is in standard deviations from the mean over replies that the model was trained on, as its result.json says:
so that weights and penalties mean the same for every reward model.
"""

import contextlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import set_peft_model_state_dict
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.adapters import read_adapter
from training.damaged_files import file_advice, read_object
from training.errors import TrainingError
from training.known_trunks import known_trunks
from training.lora import LoraLinear
from training.model import Policy
from training.packing import TokenGroup, split_by_tokens
from training.rollouts import Rollout
from training.scores import pack_finished, reply_scores
from training.turns import reply_frame, text_tokens

_REMEDY = "reward_model: name the output of a finished `python -m training reward`"
_HEAD = "base_model.model.score.weight"


class RewardModelScorer:
    """`folder` is the output of `python -m training reward` with the policy's base. Raises TrainingError.

    `adapter` is its name among those on the base: members of an ensemble have one each.
    """

    name = "reward_model"

    def __init__(
        self,
        folder: Path,
        base_sha256: str,
        policy: Policy,
        tokenizer: PreTrainedTokenizerBase,
        *,
        tokens_per_batch: int,
        adapter: str = "reward",
    ) -> None:
        self._policy = policy
        self._adapter = adapter
        self._tokenizer = tokenizer
        self._tokens_per_batch = tokens_per_batch
        self._mean, self._sd = _normal(folder)
        _refuse_other_base(folder, base_sha256)
        self._head = _add_reward_adapter(policy, folder / "adapter", adapter)
        self._trunk_is_the_base = bool(policy.trunk.layers) and not policy.trunk.is_adapted_by(adapter)

    def scores(self, rollouts: Sequence[Rollout]) -> list[float]:
        groups = [self._group(str(number), rollout) for number, rollout in enumerate(rollouts)]
        found: list[float] = []
        trunk, trunks = self._policy.trunk, list[Tensor]()
        with torch.no_grad(), self._policy.with_adapter(self._adapter):
            for batch in split_by_tokens(groups, self._tokens_per_batch):
                packed = pack_finished(self._policy, batch)
                with trunk.keeping() if self._trunk_is_the_base else contextlib.nullcontext():
                    found += reply_scores(self._policy, self._head, packed).tolist()
                if (kept_1TH := trunk.take()) is not None:
                    trunks += packed.of_groups(kept_1TH)
        if trunks:
            trunk.known = known_trunks(groups, trunks)
        return [(score - self._mean) / self._sd for score in found]

    def _group(self, id: str, rollout: Rollout) -> TokenGroup:
        asked = rollout.asked.prompt
        opening, closing = reply_frame(asked.messages, self._tokenizer, f"prompt {asked.id!r}")
        return TokenGroup(id, opening, ((*text_tokens(rollout.text, self._tokenizer), *closing),))


@dataclass(frozen=True, slots=True)
class RewardEnsemble:
    """Several as one: for each reply the members' mean less `spread_weight` standard deviations between them.

    Models that agree on what they were trained on differ elsewhere, and a policy finds where one of them is wrong: they
    are less often wrong alike (arXiv:2310.02743, uncertainty-weighted; there it is the variance, here the
    deviation, which has the score's own unit).
    """

    members: tuple[RewardModelScorer, ...]
    spread_weight: float
    name: str = "reward_model"

    def scores(self, rollouts: Sequence[Rollout]) -> list[float]:
        by_member = [member.scores(rollouts) for member in self.members]
        return [
            math.fsum(scores) / len(scores) - self.spread_weight * statistics.pstdev(scores)
            for scores in zip(*by_member, strict=True)
        ]


def _normal(folder: Path) -> tuple[float, float]:
    result = read_object(folder / "result.json", _REMEDY)
    if "normal" not in result:
        raise TrainingError(f"reward_model: {folder} is no reward model's output; name one of `training reward`")
    with file_advice(folder / "result.json", _REMEDY):
        mean, deviation = float(result["normal"]["mean"]), float(result["normal"]["sd"])
    if not deviation > 0:
        raise TrainingError(f"reward_model: {folder} gives every reply the same score; train it on more rows")
    return mean, deviation


def _refuse_other_base(folder: Path, base_sha256: str) -> None:
    """The adapter means something on the base that it was trained on alone."""
    trained_on = str(read_object(folder / "config.json", _REMEDY).get("model_sha256", ""))
    if trained_on != base_sha256:
        raise TrainingError(
            f"reward_model: {folder} was trained on another base ({trained_on[:12]}) than the policy's "
            f"({base_sha256[:12]}); train it on this one"
        )


def _add_reward_adapter(policy: Policy, folder: Path, name: str) -> nn.Linear:
    """Put the adapter on the base beside the policy's, frozen; its head is returned."""
    config, tensors = read_adapter(folder)
    with file_advice(folder, _REMEDY):
        head_1H = tensors.pop(_HEAD)
    config.task_type, config.modules_to_save = "CAUSAL_LM", None  # the head stands beside, not in the base
    config._register_custom_module({nn.Linear: LoraLinear})
    policy.model.add_adapter(name, config)
    set_peft_model_state_dict(policy.model, tensors, adapter_name=name)
    head = nn.Linear(head_1H.shape[1], 1, bias=False, device=policy.numbers.device, dtype=torch.float32)
    with torch.no_grad():
        head.weight.copy_(head_1H)
    return head.requires_grad_(False)
