"""SFT and DPO have the policy answer held-out prompts at checkpoints: what is seen, what stops a run, what it costs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from judges.records import Message, Prompt
from training.configs import DpoConfig, OfflinePolicyConfig, SftConfig, config_from
from training.dpo import train_dpo
from training.errors import ConfigError, LostNumber, TrainingError
from training.model import load_policy
from training.reply_looks import REPLY_TOKENS, checks_of, looks_of, reply_look
from training.rollouts import OnlinePrompt, Rollout, SampledReply
from training.rows import PreferenceRow
from training.sft import train_sft
from training.tokenising import load_tokenized_rows

from .test_rows import make_row
from .test_torch_sampler import FP32
from .test_training import settings, steps

SEEN = {"distinct_1", "distinct_2", "self_similarity", "opening_rate", "ending_rate", "length_ratio"} | {
    "length_ratio_low", "length_ratio_high", "sampled_kl", "sqrt_kl", "refusal_rate", "finished",
}  # fmt: skip


def repeats(count: int) -> list[PreferenceRow]:
    """The one letter over and over: a policy that learns it has collapsed."""
    asked = [(Message("user", f"Letter {n}?"),) for n in range(count)]
    return [make_row(f"r{n}", prompt=prompt, chosen="a" * 40, rejected="b") for n, prompt in enumerate(asked)]


def sft(folder: Path, tiny: Path, **changes: object) -> SftConfig:
    values = settings(
        folder, tiny, repeats(12), held_out_share=0.25, replies_per_step=3, epochs=4, tokens_per_batch=2000
    )
    return config_from({name: values[name] for name in values if name != "pairs_per_step"} | changes, SftConfig, "test")


def test_replies_that_collapse_stop_the_run_at_a_checkpoint(tmp_path: Path, sharp: Path):
    free = sft(tmp_path / "free", sharp)
    assert train_sft(free)["stopped"] is None
    assert [line["step"] for line in steps(free) if "distinct_2" in line] == [8, 12]  # without a limit
    looking = sft(tmp_path / "looking", sharp, min_distinct_2=1e-6)
    assert train_sft(looking)["stopped"] is None
    seen = {line["step"]: line for line in steps(looking) if "distinct_2" in line}
    assert list(seen) == list(range(2, 13, 2)) and all(line.keys() >= SEEN for line in seen.values())
    first, last = seen[2], seen[12]
    assert last["distinct_2"] < first["distinct_2"] / 2 and min(one["sampled_kl"] for one in seen.values()) > 0.2
    assert last["length_ratio_low"] <= last["length_ratio"] <= last["length_ratio_high"]

    limit = (first["distinct_2"] + last["distinct_2"]) / 2
    broken = next(step for step, line in seen.items() if line["distinct_2"] < limit)
    held = sft(tmp_path / "held", sharp, min_distinct_2=limit)
    result = train_sft(held)
    assert result["stopped"] == {
        "metric": "distinct_2", "value": seen[broken]["distinct_2"], "limit": limit, "step": broken,
    }  # fmt: skip
    # What the replies of a checkpoint are like is of its own weights: the one before it was seen, and is good.
    assert result["adapter_step"] == broken - 2


def test_looking_changes_nothing_that_is_learnt(tmp_path: Path, tiny: Path):
    values = settings(tmp_path / "seen", tiny, repeats(12), held_out_share=0.25, epochs=1, max_length_ratio=1e6)
    seen = config_from(values, DpoConfig, "test")
    train_dpo(seen)
    blind = replace(seen, output=tmp_path / "blind", checkpoint_every_steps=1000)
    train_dpo(blind)
    learnt = [[{name: line[name] for name in line if name not in SEEN} for line in steps(one)] for one in (seen, blind)]
    assert learnt[0] == learnt[1]
    assert [bool(SEEN & line.keys()) for line in steps(seen)] == [False, True, True]
    assert [bool(SEEN & line.keys()) for line in steps(blind)] == [False, False, True]


def test_without_held_out_rows_or_room_nothing_is_looked_at(tmp_path: Path, tiny: Path):
    free = config_from(settings(tmp_path / "free", tiny, repeats(4), epochs=1), DpoConfig, "test")
    train_dpo(free)
    assert not any(SEEN & line.keys() for line in steps(free))
    with pytest.raises(ConfigError, match="'min_distinct_2' looks at held-out prompts; set 'held_out_share' too"):
        config_from(settings(tmp_path / "none", tiny, repeats(4), min_distinct_2=0.1), DpoConfig, "test")
    with pytest.raises(TrainingError, match=r"held_out_share 0.01 of 4 prompts is none, and max_length_ratio looks at"):
        few = {"max_length_ratio": 2.0, "held_out_share": 0.01}
        train_dpo(config_from(settings(tmp_path / "few", tiny, repeats(4), **few), DpoConfig, "test"))
    with pytest.raises(
        TrainingError, match=f"max_refusal_rate: no held-out prompt leaves room for a reply of {REPLY_TOKENS}"
    ):
        # Patience looks at held-out rows too, but never at replies.
        tight = {"max_refusal_rate": 0.5, "patience": 2, "held_out_share": 0.5, "max_tokens": 60}
        rows = [replace(row, chosen="a") for row in repeats(4)]
        train_dpo(config_from(settings(tmp_path / "tight", tiny, rows, **tight), DpoConfig, "test"))


def test_a_model_that_cannot_be_sampled_from_or_looks_back_too_little_is_not_looked_at(tmp_path: Path, tiny: Path):
    wanted = sft(tmp_path, tiny)
    policy, held_out = load_policy(wanted, FP32), load_tokenized_rows(wanted, with_rejected=False).held_out
    longest = max(len(row.group.prompt) for row in held_out)
    for window, looks in ((longest + REPLY_TOKENS, True), (REPLY_TOKENS, False)):
        policy.causal.config.sliding_window = window
        assert (reply_look(policy, wanted, held_out) is not None) == looks
    policy.causal.config.sliding_window = None
    layers = policy.causal.model.layers
    layers[1].self_attn = layers[0].self_attn
    with pytest.raises(TrainingError, match=r"the trainer cannot sample from this model; .* or held_out_share: 0"):
        reply_look(policy, wanted, held_out)


LAW = """
name: law
principles:
  - {id: begins, kind: checked, text: It begins with four a., weight: 3, check: {matches: "^aaaa"}}
  - {id: no-b, kind: checked, text: No b., check: {matches: "^[^b]*$"}}
  - {id: kind, kind: judged, text: Be kind.}
"""


def both(folder: Path, model: Path, **changes: object) -> list[OfflinePolicyConfig]:
    """The same run of SFT and of DPO, whose constitution wants what the rows' chosen replies are."""
    (folder / "law.yaml").write_text(LAW)
    law = {"constitution": str(folder / "law.yaml"), "held_out_share": 0.25, "tokens_per_batch": 2000, **changes}
    values = settings(folder / "dpo", model, repeats(12), epochs=4, pairs_per_step=3, sft_weight=1.0, **law)
    return [sft(folder / "sft", model, **law), config_from(values, DpoConfig, "test")]


def test_checks_score_the_replies_that_are_looked_at_and_change_nothing(tmp_path: Path, sharp: Path):
    for wanted, train in zip(both(tmp_path, sharp), (train_sft, train_dpo), strict=True):
        result = train(wanted)
        scores = {line["step"]: line["held_out_score_checks"] for line in steps(wanted) if "distinct_2" in line}
        assert list(scores) == [8, 12] and sum("held_out_score_checks" in line for line in steps(wanted)) == 2
        # Three quarters of the score are that a reply begins with four a, which the chosen ones teach.
        assert scores[12] > 0.5
        # Other principles may watch from here on: nothing that was learnt hung on them.
        assert train(replace(wanted, principles=("no-b",))) == result
        blind = replace(wanted, output=tmp_path / "blind" / wanted.output.parent.name, constitution=None)
        train(blind)
        seen = [{name: line[name] for name in line if not name.endswith("_checks")} for line in steps(wanted)]
        assert steps(blind) == seen


def test_checks_that_fall_stop_the_run_and_the_best_checkpoint_is_saved(tmp_path: Path, sharp: Path):
    law = LAW.replace("^[^b]*$", "^[^a]*$")  # no a: the more is learnt, the fewer replies keep it
    reads = {"patience": 1, "patience_reads": "checks", "principles": ["no-b"], "learning_rate": 0.003}
    for wanted, train in zip(both(tmp_path, sharp, **reads), (train_sft, train_dpo), strict=True):
        wanted.constitution.write_text(law)
        result = train(wanted)
        scores = {line["step"]: line["held_out_score_checks"] for line in steps(wanted) if "distinct_2" in line}
        best, last = max(scores, key=scores.__getitem__), max(scores)
        assert result["stopped"]["metric"] == "held_out_score_checks" and result["stopped"]["step"] == last < 12
        assert result["adapter_step"] == best < last
        # Now the checks decide what is saved: what they say may not change on the way.
        with pytest.raises(ConfigError, match="began with principles = "):
            train(replace(wanted, principles=()))
        wanted.constitution.write_text(LAW)
        with pytest.raises(ConfigError, match="began with constitution_sha256 = "):
            train(wanted)


def test_the_checks_score_is_their_weighted_share_over_the_replies(tmp_path: Path, tiny: Path):
    wanted = both(tmp_path, tiny)[0]
    asked = OnlinePrompt(Prompt("p", (Message("user", "Letter?"),)), (1, 70))
    texts = {"aaaa": True, "aaaab": True, "zzz": False, "bbb": False}  # 4, 3, 1 and 0 of 4 parts
    rollouts = [Rollout(asked, SampledReply((70, 71), done, "policy"), text) for text, done in texts.items()]
    found = looks_of(rollouts, [2, 2, 2, 2], wanted, checks_of(wanted))
    assert (found["held_out_score_checks"], found["finished"]) == (0.5, 0.5)
    # 1, 3/4, 1/4, 0: their variance is (1/4 + 1/16 + 1/16 + 1/4) / 3 = 5/24, of the mean of four a quarter of that.
    assert found["held_out_error_checks"] == pytest.approx((5 / 96) ** 0.5)
    one = looks_of(rollouts, [2, 2, 2, 2], wanted, checks_of(replace(wanted, principles=("no-b",))))
    assert one["held_out_score_checks"] == 0.5
    assert "held_out_score_checks" not in looks_of(rollouts, [2, 2, 2, 2], wanted, None)


def test_checks_that_watch_nothing_are_refused(tmp_path: Path, tiny: Path):
    with pytest.raises(ConfigError, match="'constitution' looks at held-out prompts; set 'held_out_share' too"):
        both(tmp_path, tiny, held_out_share=0.0)
    for wanted, train in zip(both(tmp_path, tiny), (train_sft, train_dpo), strict=True):
        with pytest.raises(
            ConfigError, match=r"law\.yaml has no checked principle among those in principles, and no judge"
        ):
            train(replace(wanted, principles=("kind",)))
        with pytest.raises(
            ConfigError, match="principles: 'calm' is none of the constitution's; it has begins, no-b, kind"
        ):
            train(replace(wanted, principles=("calm",)))


def test_a_look_at_a_policy_that_lost_its_numbers_names_a_prompt(tmp_path: Path, tiny: Path):
    wanted = sft(tmp_path, tiny)
    policy = load_policy(wanted, FP32)
    look = reply_look(policy, wanted, load_tokenized_rows(wanted, with_rejected=False).held_out)
    assert look is not None and 0 <= look()["finished"] <= 1
    with torch.no_grad():
        next(iter(policy.adapter_weights().values())).fill_(float("nan"))
    with pytest.raises(
        LostNumber, match=r"^prompt 'p1': the policy's probabilities of a reply's next token are no numb"
    ):
        look()
