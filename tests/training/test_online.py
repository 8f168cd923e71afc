"""PPO and RLOO on the tiny model: they reach a known optimum, KL holds them, resume equals not stopping."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import pytest
import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from judges.engine import start_scripted
from judges.records import Abstention, Message, Prompt
from training.configs import OnlineConfig, PpoConfig, RewardConfig, RlooConfig, config_from
from training.engine_sampler import merged_tensors
from training.errors import ConfigError, LostNumber, TrainingError
from training.judge_scorer import GradingJudge, JudgeScorer
from training.merge import merge_adapter
from training.model import Policy, load_policy, reply_token_logps
from training.online import mean_parts
from training.online_parts import open_sampler
from training.packing import TokenGroup, pack_groups
from training.ppo import train_ppo
from training.precision import resolve_numbers
from training.reward import train_reward
from training.reward_scorer import RewardModelScorer
from training.rloo import train_rloo
from training.rollouts import OnlinePrompt, Rollout, SampledReply, Sampler, sample_rollouts
from training.rows import PreferenceRow, write_rows
from training.scorers import FunctionScorer, WeightedScorer, scored_rollouts
from training.tokenising import load_tokenizer
from training.torch_sampler import TorchSampler
from training.value import add_value_model
from training.weights import model_sha256

from .test_reward import classified, pairs
from .test_rows import make_row

LETTERS = FunctionScorer("letters", lambda rollout: sum("a" <= letter <= "z" for letter in rollout.text) / 4)
OTHERS = ascii_uppercase + digits + "\x01\x02?!#$%&"
TRAIN = {PpoConfig: train_ppo, RlooConfig: train_rloo}


def config(folder: Path, tiny: Path, kind: type[OnlineConfig], **changes: object) -> OnlineConfig:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"id": f"p{number}", "prompt": f"Say {number}"} for number in range(8)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    values = {
        "model": str(tiny), "rows": str(folder / "prompts.jsonl"), "output": str(folder / "out"),
        "learning_rate": 0.01, "precision": "fp32", "prompts_per_step": 8, "reply_tokens": 4, "epochs": 3,
        "replies_per_prompt": 8, "kl_weight": 0.0, "checkpoint_every_steps": 1, "warmup_share": 0.0,
    }  # fmt: skip
    return config_from(values | changes, kind, "test")


def steps(output: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in line if name not in ("seconds", "tokens_per_s")} for line in lines]


@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_it_reaches_the_known_optimum(tmp_path: Path, sharp: Path, kind: type[OnlineConfig]):
    """The score is the share of small letters in four bytes: a tenth by chance, 1 at best."""
    wanted = config(tmp_path, sharp, kind, epochs=16, passes=2, minibatches=2)
    TRAIN[kind](wanted, [LETTERS])
    lines = steps(wanted.output)
    assert lines[0]["score"] < 0.1 and lines[0]["kl"] == pytest.approx(0.0, abs=1e-4)
    assert sum(line["score"] for line in lines[-3:]) / 3 >= 0.95
    # It tried other letters on the way than its base, which is sure of itself, and is sure again.
    assert lines[-1]["kl"] > 2 and lines[-1]["entropy"] < 0.8 * max(line["entropy"] for line in lines)


@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_what_the_lower_layers_gave_once_serves_every_pass(tmp_path: Path, sharp: Path, kind: type[OnlineConfig]):
    """Batches cut otherwise than the one that was seen first must lead to the same policy."""
    adapters = []
    for tokens in (40, 4000):
        wanted = config(
            tmp_path / str(tokens), sharp, kind, epochs=3, passes=2, minibatches=2, lora_layers_share=0.5,
            tokens_per_batch=tokens,
        )  # fmt: skip
        TRAIN[kind](wanted, [LETTERS])
        adapters.append(load_file(wanted.output / "adapter/adapter_model.safetensors"))
    assert adapters[0].keys() == adapters[1].keys() and not any("layers.0" in name for name in adapters[0])
    for name, weight in adapters[0].items():
        torch.testing.assert_close(weight, adapters[1][name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_a_heavy_kl_holds_it_at_the_base(tmp_path: Path, sharp: Path, kind: type[OnlineConfig]):
    wanted = config(tmp_path, sharp, kind, epochs=8, kl_weight=1000.0)
    TRAIN[kind](wanted, [LETTERS])
    # A few nats without the weight; a step's figure is one of 64 draws.
    kls = [abs(line["kl"]) for line in steps(wanted.output)]
    assert sum(kls) / len(kls) < 0.05 and max(kls) < 0.1


def test_an_adaptive_weight_rises_while_the_kl_is_over_its_target(tmp_path: Path, tiny: Path):
    wanted = config(tmp_path, tiny, RlooConfig, epochs=6, kl_weight=0.01, kl_target=0.001)
    train_rloo(wanted, [LETTERS])
    lines = steps(wanted.output)
    assert lines[0]["kl_weight"] == 0.01
    for before, after in pairwise(lines):
        error = min(max(before["kl"] / 0.001 - 1, -0.2), 0.2)
        assert after["kl_weight"] == pytest.approx(before["kl_weight"] * (1 + 0.1 * error))


class EveryThird:
    """Scores as LETTERS does, and cannot read two of three."""

    name = "letters"

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float | Abstention]:
        scores = LETTERS.scores(rollouts)
        return [s if place % 3 == 0 else Abstention("unreadable", "") for place, s in enumerate(scores)]


@pytest.mark.parametrize(("kind", "alone"), [(PpoConfig, 0), (RlooConfig, 8)])
def test_replies_left_alone_teach_ppo_and_not_rloo_and_are_counted(tmp_path: Path, tiny: Path, kind, alone):
    """Of each prompt's three replies the first is read."""
    wanted = config(tmp_path, tiny, kind, epochs=1, replies_per_prompt=3)
    if alone:
        with pytest.raises(TrainingError, match=r"abstentions \{'unreadable': 16\}, 8 alone in their prompt"):
            TRAIN[kind](wanted, [EveryThird()])
    else:
        TRAIN[kind](wanted, [EveryThird()])
        (line,) = steps(wanted.output)
        assert (line["abstained"], line["abstained_unreadable"], line["alone"]) == (16, 16, 0)


class Interrupted(Exception):
    pass


class StopsAt:
    """Scores as LETTERS does, until it has been asked so many times."""

    name = "letters"

    def __init__(self, most: int) -> None:
        self._left = most

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float]:
        self._left -= 1
        if self._left < 0:
            raise Interrupted
        return LETTERS.scores(rollouts)


@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_resume_equals_not_stopping(tmp_path: Path, tiny: Path, kind: type[OnlineConfig]):
    changes = {"epochs": 4, "kl_weight": 0.02, "kl_target": 1.0, "minibatches": 3}
    whole = config(tmp_path / "whole", tiny, kind, **changes)
    TRAIN[kind](whole, [LETTERS])
    halves = config(tmp_path / "halves", tiny, kind, **changes)
    with pytest.raises(Interrupted):
        TRAIN[kind](halves, [StopsAt(2)])
    assert len(steps(halves.output)) == 2
    TRAIN[kind](halves, [LETTERS])
    assert steps(halves.output) == steps(whole.output)
    one, other = (load_file(c.output / "adapter/adapter_model.safetensors") for c in (whole, halves))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_plain_peft_loads_the_policy_alone(tmp_path: Path, tiny: Path):
    wanted = config(tmp_path, tiny, PpoConfig, epochs=2)
    train_ppo(wanted, [LETTERS])
    assert sorted(path.name for path in (wanted.output / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    ids = torch.tensor([[1, 70, 80, 90]])
    base = AutoModelForCausalLM.from_pretrained(tiny)
    before = base(ids).logits
    with torch.no_grad():
        assert (PeftModel.from_pretrained(base, wanted.output / "adapter")(ids).logits - before).abs().max() > 0.001


def test_ppo_ptx_keeps_the_chosen_replies_likely(tmp_path: Path, sharp: Path):
    rows = [make_row(f"r{n}", prompt_id=f"p{n}", chosen="zz", rejected="y", p_chosen=1.0) for n in range(4)]
    write_rows(tmp_path / "rows.jsonl", rows)
    changes = {"rows": str(tmp_path / "rows.jsonl"), "epochs": 20, "ptx_weight": 1.0}
    wanted = config(tmp_path, sharp, PpoConfig, **changes)
    train_ppo(wanted, [LETTERS])
    lines = steps(wanted.output)
    assert lines[-1]["ptx_loss"] < lines[0]["ptx_loss"] / 2


def test_a_rows_weight_counts_in_ptx(tmp_path: Path, sharp: Path):
    found = []
    for weight in (1.0, 0.25):
        rows = [make_row(f"r{n}", prompt_id=f"p{n}", chosen="zz", p_chosen=1.0, weight=weight) for n in range(4)]
        write_rows(tmp_path / "rows.jsonl", rows)
        changes = {"rows": str(tmp_path / "rows.jsonl"), "epochs": 1, "ptx_weight": 1.0}
        wanted = config(tmp_path / str(weight), sharp, PpoConfig, **changes)
        train_ppo(wanted, [LETTERS])
        found.append(steps(wanted.output)[0]["ptx_loss"])
    assert found[1] == pytest.approx(found[0] / 4)


def test_ptx_rows_may_be_of_other_prompts_than_those_answered_and_stay_what_they_were(tmp_path: Path, sharp: Path):
    rows = [make_row(f"r{n}", prompt_id=f"p{n}", chosen="zz", rejected="y", p_chosen=1.0) for n in range(4)]
    path = tmp_path / "pairs.jsonl"
    write_rows(path, rows)
    changes = {"epochs": 20, "ptx_weight": 1.0, "ptx_rows": str(path)}
    wanted = config(tmp_path, sharp, PpoConfig, **changes)
    assert wanted.rows != path
    train_ppo(wanted, [LETTERS])
    lines = steps(wanted.output)
    assert lines[-1]["ptx_loss"] < lines[0]["ptx_loss"] / 2

    write_rows(path, rows[:2])
    with pytest.raises(ConfigError, match="this run began with ptx_rows_sha256 = "):
        train_ppo(wanted, [LETTERS])
    path.unlink()
    with pytest.raises(ConfigError, match=r"ptx_rows: .* is no file; name a JSONL file of preference rows"):
        train_ppo(wanted, [LETTERS])


def test_a_sampler_writes_the_same_where_layers_are_recomputed(tmp_path: Path, sharp: Path):
    found = []
    for checkpointing in (False, True):
        wanted = config(tmp_path, sharp, PpoConfig, gradient_checkpointing=checkpointing)
        policy = load_policy(wanted, resolve_numbers("fp32"))
        sampler = TorchSampler(policy, reply_tokens=12, ends=(2,), tokens_per_batch=25)
        found.append(sampler.sample([(1, 70, 80), (1, 90)], seed=3))
        assert policy.causal.training == checkpointing
    assert found[0] == found[1]


def test_an_engine_is_handed_what_a_merge_would_write(tmp_path: Path, sharp: Path):
    wanted = config(tmp_path, sharp, PpoConfig, epochs=2)
    train_ppo(wanted, [LETTERS])
    merged = load_file(merge_adapter(sharp, wanted.output / "adapter", tmp_path / "merged") / "model.safetensors")
    policy = load_policy(wanted, resolve_numbers("fp32"))
    add_value_model(policy, seed=1)
    set_peft_model_state_dict(policy.model, load_file(wanted.output / "adapter/adapter_model.safetensors"))
    handed = merged_tensors(policy)
    assert handed.keys() == merged.keys()
    for name, tensor in merged.items():
        torch.testing.assert_close(handed[name], tensor)


def test_a_run_goes_on_with_what_scored_it_before(tmp_path: Path, tiny: Path):
    law = tmp_path / "law.yaml"
    law.write_text("name: law\nprinciples:\n  - {id: short, kind: checked, text: Short., check: {max_words: 2}}\n")
    with pytest.raises(Interrupted):
        train_rloo(config(tmp_path, tiny, RlooConfig, constitution=str(law)), [StopsAt(1)])
    with pytest.raises(ConfigError, match=r"began with constitution_sha256 = '.*', now it is None"):
        train_rloo(config(tmp_path, tiny, RlooConfig), [LETTERS])
    law.write_text(law.read_text().replace("2", "3"))
    with pytest.raises(ConfigError, match="began with constitution_sha256"):
        train_rloo(config(tmp_path, tiny, RlooConfig, constitution=str(law)), [LETTERS])


class Tells:
    """The trainer's own sampler, which also tells its log-probabilities: so far off, nats a token.

    Of `later` the second half of the replies are off by that.
    """

    def __init__(self, policy: Policy, own: Sampler, nats: float, later: float) -> None:
        self._policy, self._own, self._nats, self._later = policy, own, nats, later
        self.lengths: list[int] = []

    def update(self, weights: str) -> None:
        self._own.update(weights)

    def sample(self, prompts: Sequence[tuple[int, ...]], *, seed: int) -> list[SampledReply]:
        replies = self._own.sample(prompts, seed=seed)
        groups = [TokenGroup("", prompt, (one.tokens,)) for prompt, one in zip(prompts, replies, strict=True)]
        self.lengths = [len(one.tokens) for one in replies]
        with torch.no_grad():
            packed = pack_groups(groups, self._policy.numbers.dtype, self._policy.numbers.device)
            logps = reply_token_logps(self._policy, packed).split(self.lengths)
        off = [self._nats if place < len(replies) / 2 else self._later for place in range(len(replies))]
        return [
            replace(one, logps=tuple((own + nats).tolist())) for one, own, nats in zip(replies, logps, off, strict=True)
        ]

    def close(self) -> None:
        self._own.close()


@pytest.mark.parametrize(
    ("nats", "later", "is_same"), [(-0.0005, -0.0005, True), (-0.002, -0.002, False), (-0.0005, -3.0, False)]
)
@pytest.mark.parametrize("kind", [PpoConfig, RlooConfig])
def test_a_sampler_that_computes_as_the_trainer_does_is_believed(
    tmp_path: Path, sharp: Path, kind: type[OnlineConfig], nats: float, later: float, is_same: bool
):
    """The fresh policy is its base: each token that the sampler is believed about adds its `nats` to the KL."""
    wanted = config(tmp_path, sharp, kind, epochs=1, minibatches=2)
    opened: list[Tells] = []

    def tells(config: OnlineConfig, policy: Policy, ends: tuple[int, ...], prompt: tuple[int, ...]) -> Sampler:
        opened.append(Tells(policy, open_sampler(config, policy, ends, prompt), nats, later))
        return opened[-1]

    TRAIN[kind](wanted, [LETTERS], tells)
    (line,) = steps(wanted.output)
    # The replies of the first minibatch, half of them, are seen by the policy itself.
    unseen = opened[0].lengths[len(opened[0].lengths) // 2 :]
    assert line["kl"] == pytest.approx(sum(unseen) * nats / 64 if is_same else 0.0, abs=1e-5)
    assert line["sampler_apart"] == pytest.approx(-nats, rel=0.05)


def asked(number: int = 0) -> OnlinePrompt:
    return OnlinePrompt(Prompt(f"p{number}", (Message("user", f"Letter {number}?"),)), (1, 70))


def rollout(text: str, number: int = 0) -> Rollout:
    return Rollout(asked(number), SampledReply((70,), True, "w"), text)


class OfOldWeights:
    def update(self, weights: str) -> None:
        """Takes nothing over."""

    def sample(self, prompts: Sequence[tuple[int, ...]], *, seed: int) -> list[SampledReply]:
        return [SampledReply((70,), True, "old") for _ in prompts]

    def close(self) -> None:
        """Nothing was started."""


def test_replies_of_other_weights_are_refused(tiny: Path):
    with pytest.raises(TrainingError, match="prompt 'p0': its reply was made by the weights old, the policy is at new"):
        sample_rollouts(OfOldWeights(), load_tokenizer(tiny), [asked()], "new", seed=0)


class Unsure:
    name = "unsure"

    def scores(self, rollouts: Sequence[Rollout]) -> Sequence[float | Abstention]:
        return [Abstention("unreadable", one.text) if "?" in one.text else 0.5 for one in rollouts]


def test_what_a_scorer_cannot_score_is_left_out_and_never_a_number():
    scorers = [WeightedScorer(LETTERS, 2.0), WeightedScorer(Unsure(), 1.0)]
    found = scored_rollouts(scorers, [rollout("aa"), rollout("a?"), rollout("B")])
    assert found.abstained == {"unreadable": 1}
    assert [(one.rollout.text, one.score, dict(one.parts)) for one in found.kept] == [
        ("aa", 1.5, {"letters": 0.5, "unsure": 0.5}),
        ("B", 0.5, {"letters": 0.0, "unsure": 0.5}),
    ]


def test_a_score_that_is_no_number_ends_the_run_by_the_prompts_name():
    lost = FunctionScorer("lost", lambda rollout: float("nan") if "b" in rollout.text else 0.5)
    with pytest.raises(LostNumber, match=r"prompt '.*': lost scores a reply nan, which is no number"):
        scored_rollouts([WeightedScorer(lost, 1.0)], [rollout("aa"), rollout("ab")])


def test_a_scorer_of_no_weight_is_shown_and_leaves_no_reply_out():
    scorers = [WeightedScorer(LETTERS, 2.0), WeightedScorer(Unsure(), 0.0)]
    found = scored_rollouts(scorers, [rollout("aa"), rollout("a?")])
    assert (found.abstained, found.unweighed) == ({}, {"unreadable": 1})
    assert [(one.score, dict(one.parts)) for one in found.kept] == [
        (1.0, {"letters": 0.5, "unsure": 0.5}),
        (0.5, {"letters": 0.25}),
    ]
    # The mean is over what it scored; where that is nothing, there is none.
    assert mean_parts(found.kept) == {"score_letters": 0.375, "score_unsure": 0.5}
    assert mean_parts(found.kept[1:]) == {"score_letters": 0.25}
    # Of two that abstain, the one with a weight says why, and each is counted once.
    both = scored_rollouts([WeightedScorer(EveryThird(), 1.0), *scorers], [rollout("?"), rollout("?")])
    assert (len(both.kept), both.abstained, both.unweighed) == (1, {"unreadable": 1}, {"unreadable": 2})


def test_a_run_whose_every_reply_is_left_out_ends_with_the_reason(tmp_path: Path, tiny: Path):
    class Silent:
        name = "silent"

        def scores(self, rollouts: Sequence[Rollout]) -> Sequence[Abstention]:
            return [Abstention("timed_out", "") for _ in rollouts]

    with pytest.raises(
        TrainingError, match=r"step 1: of 64 replies none can be learnt from: abstentions \{'timed_out': 64\}"
    ):
        train_rloo(config(tmp_path, tiny, RlooConfig), [Silent()])


def test_a_constitution_scores_by_its_checks_weights(tmp_path: Path, tiny: Path):
    law = tmp_path / "law.yaml"
    law.write_text(
        "name: law\nprinciples:\n"
        "  - {id: short, kind: checked, text: Be short., weight: 3, check: {max_words: 2}}\n"
        "  - {id: calm, kind: checked, text: No shouting., check: {forbids: [shout]}}\n"
    )
    wanted = config(tmp_path, tiny, RlooConfig, constitution=str(law), epochs=1)
    train_rloo(wanted)
    assert set(steps(wanted.output)[0]) >= {"score_checks", "score", "reward", "finished", "abstained"}
    from training.scorers import check_scorer

    found = check_scorer(law).scores([rollout("one two"), rollout("one two three"), rollout("i shout")])
    assert found == [1.0, 0.25, 0.75]
    assert check_scorer(law, ["calm"]).scores([rollout("one two three"), rollout("i shout")]) == [1.0, 0.0]
    with pytest.raises(ConfigError, match="principles: 'kind' is none of the constitution's; it has short, calm"):
        check_scorer(law, ["kind"])


LAW = """
name: law
principles:
  - {id: short, kind: judged, text: Be short.}
  - {id: brief, kind: judged, text: Be brief., weight: 3}
"""


def test_a_judges_grade_is_a_share_and_a_reply_that_it_cannot_grade_is_left_out(tmp_path: Path):
    """The scripted judge takes a level of five off for every ten words, 2 logits a level."""
    (tmp_path / "law.yaml").write_text(LAW)
    (tmp_path / "odd.json").write_text(json.dumps({"taste": "unwilling"}))
    with asyncio.Runner() as loop:
        judges = [
            loop.run(start_scripted(tmp_path / f"{name}.sock", tmp_path / "log", behaviour=behaviour))
            for name, behaviour in (("even", None), ("odd", tmp_path / "odd.json"))
        ]
        try:
            even, odd = (GradingJudge(f"unix:{tmp_path}/{name}.sock", "scripted") for name in ("even", "odd"))
            with JudgeScorer(tmp_path / "law.yaml", even) as judge:
                best, worst = judge.scores([rollout("one two"), rollout("word " * 50)])
            with JudgeScorer(tmp_path / "law.yaml", odd) as judge:
                assert [type(score) for score in judge.scores([rollout("one")])] == [Abstention]
        finally:
            for one in judges:
                loop.run(one.stop())
    # weights e^-2k at k = 0 to 4 levels from the one that fits: on average 0.1563 of 4 away
    assert best == pytest.approx(1 - 0.1563 / 4, abs=1e-4) and worst == pytest.approx(0.1563 / 4, abs=1e-4)


def test_a_judge_needs_a_law_and_a_protocol_that_grades(tmp_path: Path, tiny: Path):
    (tmp_path / "law.yaml").write_text(LAW)
    with pytest.raises(ConfigError, match="judge_url: a judge grades by a constitution's judged principles"):
        train_rloo(config(tmp_path, tiny, RlooConfig, judge_url="http://localhost:1"))
    with pytest.raises(ConfigError, match="judge_protocol: 'pairwise' compares replies; take pointwise"):
        JudgeScorer(tmp_path / "law.yaml", GradingJudge("http://localhost:1", "m", "pairwise"))
    (tmp_path / "law.yaml").write_text(LAW + "  - {id: calm, kind: checked, text: Calm., check: {forbids: [shout]}}\n")
    with pytest.raises(ConfigError, match="has no judged principle among those named"):
        JudgeScorer(tmp_path / "law.yaml", GradingJudge("http://localhost:1", "m"), ["calm"])


def test_a_judges_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    remote = GradingJudge("https://judge.example", "m", key_env="CHARTER_TEST_JUDGE_KEY")
    with pytest.raises(ConfigError, match=r"judge_key_env: \$CHARTER_TEST_JUDGE_KEY is not set"):
        _ = remote.endpoint
    monkeypatch.setenv("CHARTER_TEST_JUDGE_KEY", "secret")
    assert remote.endpoint.api_key == "secret"


def test_a_reward_model_scores_as_transformers_own_classifier_in_deviations(tmp_path: Path, tiny: Path):
    write_rows(tmp_path / "rows.jsonl", pairs(8))
    values = {
        "model": str(tiny), "rows": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "rm"),
        "learning_rate": 0.01, "precision": "fp32", "prompts_per_step": 4, "epochs": 4,
    }  # fmt: skip
    normal = train_reward(config_from(values, RewardConfig, "test"))["normal"]
    policy = load_policy(config(tmp_path, tiny, PpoConfig), resolve_numbers("fp32"))
    scorer = RewardModelScorer(tmp_path / "rm", model_sha256(tiny), policy, load_tokenizer(tiny), tokens_per_batch=200)
    row = pairs(1)[0]
    base = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1)
    base.config.pad_token_id = 3
    model = PeftModel.from_pretrained(base, tmp_path / "rm/adapter")
    expected = [(classified(model, tiny, row, text) - normal["mean"]) / normal["sd"] for text in ("aa", "zz")]
    asked_row = OnlinePrompt(Prompt("p", row.prompt), (1,))
    found = scorer.scores([replace(rollout(text), asked=asked_row) for text in ("aa", "zz")])
    assert found == pytest.approx(expected, abs=1e-4) and found[0] > found[1]
    # and the policy is as it was: its own adapter is on again
    assert policy.model.active_adapter == "default"


def small_over_large(count: int) -> list[PreferenceRow]:
    """Four small letters are better than four signs of any other kind."""
    draw = random.Random(0)
    words = [["".join(draw.choices(kind, k=4)) for kind in (ascii_lowercase, OTHERS)] for _ in range(count)]
    return [
        make_row(
            f"r{n}", prompt_id=f"p{n}", prompt=(Message("user", f"Say {n % 8}"),), chosen=a, rejected=b, p_chosen=1.0
        )
        for n, (a, b) in enumerate(words)
    ]


def test_ppo_climbs_a_reward_model(tmp_path: Path, sharp: Path):
    write_rows(tmp_path / "rows.jsonl", small_over_large(160))
    values = {
        "model": str(sharp), "rows": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "rm"),
        "learning_rate": 0.005, "precision": "fp32", "prompts_per_step": 1, "epochs": 4,
    }  # fmt: skip
    result = train_reward(config_from(values, RewardConfig, "test"))
    print(result["held_out"])
    wanted = config(tmp_path, sharp, PpoConfig, reward_model=str(tmp_path / "rm"), epochs=10, passes=2, minibatches=2)
    train_ppo(wanted)
    lines = steps(wanted.output)
    assert lines[-1]["score_reward_model"] > lines[0]["score_reward_model"] + 0.5


def test_bad_input_names_the_knob(tmp_path: Path, tiny: Path):
    with pytest.raises(TrainingError, match="nothing scores the replies: name a constitution"):
        train_ppo(config(tmp_path / "a", tiny, PpoConfig))
    law = tmp_path / "law.yaml"
    law.write_text("name: law\nversion: '1'\nprinciples: [{id: kind, kind: judged, text: Be kind.}]\n")
    with pytest.raises(TrainingError, match=r"law\.yaml has no checked principle, and judged ones need a judge; set j"):
        train_ppo(config(tmp_path / "law", tiny, PpoConfig, constitution=str(law)))
    law.write_text(
        "name: law\nversion: '1'\nprinciples:\n  - {id: short, kind: checked, text: Short., check: {max_words: 2}}\n"
    )
    with pytest.raises(ConfigError, match="all that scores the replies has weight 0"):
        train_ppo(config(tmp_path / "w", tiny, PpoConfig, constitution=str(law), check_weight=0.0))
    with pytest.raises(ConfigError, match="'kl_target' steers 'kl_weight' by factors, and it is 0"):
        config(tmp_path / "k", tiny, PpoConfig, kl_weight=0.0, kl_target=6.0)
    with pytest.raises(TrainingError, match=r"reward_model: name the output of a finished .* is no file"):
        train_ppo(config(tmp_path / "b", tiny, PpoConfig, reward_model=str(tmp_path)))
    with pytest.raises(
        TrainingError,
        match=r"no prompt to answer \(dropped: \{'too_long': 8\}\); prompt 'p0', the shortest, has \d+ tokens, its "
        r"reply may have 4, and 8 are the most for both; lower reply_tokens, or raise max_tokens$",
    ):
        train_ppo(config(tmp_path / "c", tiny, PpoConfig, max_tokens=8), [LETTERS])
    with pytest.raises(ConfigError, match="'replies_per_prompt' is 1; take a number from 2"):
        config(tmp_path / "d", tiny, RlooConfig, replies_per_prompt=1)
    with pytest.raises(ConfigError, match="'reward_model' is 7; it must be a path"):
        config(tmp_path / "e", tiny, PpoConfig, reward_model=7)
    with pytest.raises(TrainingError, match="no 'chosen'; a row needs prompt with chosen or completion, or messages"):
        train_ppo(config(tmp_path / "f", tiny, PpoConfig, ptx_weight=1.0), [LETTERS])
