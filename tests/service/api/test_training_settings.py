"""A run's training settings: each has a reader, and one that the method does not read is refused by name."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from httpx import Response
from pydantic import ValidationError

from service.pipeline.trainer_knobs import knobs_of, readers_of, trainer_config, trainer_knobs, unread_settings
from service.schemas import EvaluateSettings, RunRequest, TrainingSettings
from service.store.records import AdapterRecord
from tests.service.api.conftest import Service
from training.configs import METHODS, Method, RewardConfig, config_from

NEEDED = {"constitution": "c", "prompts": "p", "model": "m", "judge": {"model": "j"}}
PLACES = {"model": "m", "rows": "r", "output": "o"}


def request(**training: object) -> RunRequest:
    return RunRequest.model_validate(NEEDED | {"training": training})


def test_every_setting_is_read_by_a_method():
    assert [name for name in TrainingSettings.model_fields if not readers_of(name)] == []


@pytest.mark.parametrize("method", METHODS)
def test_a_run_tells_the_trainer_what_was_set(method: Method):
    wanted = TrainingSettings(method=method, learning_rate=0.5, pairs_per_step=7, max_tokens=99)
    config = config_from(PLACES | trainer_knobs(wanted), METHODS[method], "run")
    assert (config.learning_rate, config.max_tokens) == (0.5, 99)
    (per_step,) = (one.name for one in fields(config) if one.name.endswith("_per_step"))
    assert getattr(config, per_step) == 7


def test_the_trainer_is_told_of_layers_numbers_and_checkpoints():
    wanted = {
        "lora_targets": ["q_proj"], "warmup_share": 0.5, "precision": "fp32", "quantise": "nf4",
        "checkpoint_every_steps": 3, "member": 2,
    }  # fmt: skip
    config = trainer_config(request(method="reward", **wanted).training)
    assert isinstance(config, RewardConfig)
    assert (config.lora_targets, config.warmup_share, config.precision) == (("q_proj",), 0.5, "fp32")
    assert (config.quantise, config.checkpoint_every_steps, config.member) == ("nf4", 3, 2)
    assert unread_settings(request(method="ppo", quantise="nf4", member=1)) == [
        "training.member: ppo does not read it; leave it out, or take reward",
        "training.quantise: ppo does not read it; leave it out, or take sft or reward or dpo",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_the_trainers_own(method: Method):
    told, own = (
        trainer_knobs(TrainingSettings(method=method)),
        {one.name: one.default for one in fields(METHODS[method])},
    )
    assert told == {name: own[name] for name in told}


def test_a_knob_of_another_method_is_refused_and_its_own_methods_are_named():
    assert unread_settings(request(method="reward", margin=1.0, held_out_share=0.5)) == []
    assert unread_settings(request(method="reward", beta=0.2)) == [
        "training.beta: reward does not read it; leave it out, or take dpo"
    ]
    assert unread_settings(request(method="sft", sft_on="revisions")) == []
    said = unread_settings(request(method="dpo", sft_on="revisions", margin=0.5, kl_weight=0.2))
    assert [line.split(":")[0] for line in said] == ["training.sft_on", "training.margin", "training.kl_weight"]
    assert unread_settings(request(method="dpo", held_out_share=0.2, patience=2, max_kl=0.5)) == []
    assert unread_settings(request(method="sft", held_out_share=0.2, min_distinct_2=0.1)) == []
    assert unread_settings(request(method="ppo", min_distinct_2=0.1)) == []
    assert unread_settings(request(method="dpo", max_refusal_rate=0.1)) == [
        "training: 'max_refusal_rate' looks at held-out prompts; set 'held_out_share' too"
    ]
    assert unread_settings(request(method="dpo", patience=2)) == [
        "training: 'patience' looks at held-out prompts; set 'held_out_share' too"
    ]
    reads = {"patience": 2, "patience_reads": "checks", "held_out_share": 0.2}
    assert unread_settings(request(method="dpo", **reads)) == []
    assert unread_settings(request(method="dpo", patience_reads="checks")) == [
        "training.patience_reads: it says nothing without training.patience; set that too, or leave it out"
    ]
    assert unread_settings(request(method="reward", patience=2, patience_reads="checks")) == [
        "training.patience_reads: reward does not read it; leave it out, or take sft or dpo"
    ]


def test_the_evaluation_of_replies_is_refused_where_none_are_written():
    scores = request(method="reward").model_copy(update={"evaluate": EvaluateSettings(replies_per_prompt=2)})
    (said,) = unread_settings(scores)
    assert said.startswith("evaluate: what reward trains writes no replies")


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"beta": 1e-5}, "training: 'beta' is 1e-05; take a number from 0.0001 to 100.0"),
        ({"label_smoothing": 0.495}, "training: 'label_smoothing' is 0.495; take a number from 0.0 to 0.49"),
    ],
)
def test_the_trainers_bounds_are_the_runs(training: dict[str, float], said: str):
    assert unread_settings(request(**training)) == [said]


def test_every_trainers_step_has_a_name():
    assert {knobs_of(method)["pairs_per_step"] for method in METHODS} <= {
        one.name for config in METHODS.values() for one in fields(config)
    }


async def test_what_nobody_would_read_is_a_422_that_names_it(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m")
    answer = await service.http.post("/v1/runs", json=body | {"training": {"method": "reward", "sft_weight": 1.0}})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == ["training.sft_weight: reward does not read it; leave it out, or take dpo"]
    wide = await service.http.post("/v1/runs", json=body | {"training": {"method": "reward", "held_out_share": 0.95}})
    assert wide.status_code == 422 and "training.held_out_share" in wide.json()["detail"]
    assert (await service.http.get("/v1/runs")).json()["data"] == []


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_a_layer_that_the_base_lacks_is_refused_before_anything_is_sampled(
    service: Service, tmp_path: Path, query: str
) -> None:
    body = await service.run_body(tmp_path / "m")
    wanted = body | {"training": {"lora_targets": ["q_proj", "q_prj"]}}
    # Of a model of no known type nothing can be said.
    assert (await service.http.post("/v1/runs?dry_run=true", json=wanted)).status_code == 201
    (tmp_path / "m" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    refused = await service.http.post(f"/v1/runs{query}", json=wanted)
    assert refused.status_code == 422 and refused.json()["detail"].startswith(
        "training.lora_targets: no linear layer is called 'q_prj'; take of down_proj, gate_proj, k_proj, o_proj, q_proj"
    )
    assert (await service.http.get("/v1/runs")).json()["data"] == []
    untrained = wanted | {"stages": ["sample"]}
    assert (await service.http.post("/v1/runs?dry_run=true", json=untrained)).status_code == 201


async def test_a_reward_run_needs_no_held_out_prompts_and_asks_for_no_replies_to_them(
    service: Service, tmp_path: Path
) -> None:
    body = await service.run_body(tmp_path / "m")
    await service.http.post("/v1/prompt-sets?name=training-only", content='{"prompt": "Why is the sky blue?"}\n')
    body |= {"prompts": "training-only"}
    refused = await service.http.post("/v1/runs?dry_run=true", json=body)
    assert refused.status_code == 422 and "no held-out prompt" in refused.json()["detail"]
    plan = await service.http.post("/v1/runs?dry_run=true", json=body | {"training": {"method": "reward"}})
    assert plan.status_code == 201 and plan.json()["evaluate_calls"] == 0, plan.text
    nothing = {"method": "reward", "held_out_share": 0.0}
    refused = await service.http.post("/v1/runs?dry_run=true", json=body | {"training": nothing})
    assert refused.status_code == 422 and "training.held_out_share is 0" in refused.json()["detail"]


async def test_a_policy_that_writes_its_own_replies_needs_prompts_alone(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m") | {"training": {"method": "ppo"}}
    taken = await service.http.post("/v1/runs?dry_run=true", json=body | {"stages": ["train", "evaluate", "bundle"]})
    assert taken.status_code == 201 and taken.json()["sample_calls"] == 0, taken.text
    everything = await service.http.post("/v1/runs?dry_run=true", json=body)
    assert everything.json()["errors"] == [
        "stages: ppo reads nothing of sample, revise, judge, mix; name train, evaluate, bundle"
    ]


async def test_ppo_that_keeps_the_chosen_replies_likely_reads_the_mixed_pairs(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m") | {"training": {"method": "ppo", "ptx_weight": 0.1}}
    taken = await service.http.post("/v1/runs?dry_run=true", json=body)
    assert taken.status_code == 201 and taken.json()["sample_calls"] > 0, taken.text
    cut = await service.http.post("/v1/runs?dry_run=true", json=body | {"stages": ["train"]})
    assert cut.json()["errors"] == [
        "stages: 'train' needs sample, judge, mix in the same run; add what is missing, or leave 'train' out"
    ]
    other = await service.http.post(
        "/v1/runs?dry_run=true", json=body | {"training": {"method": "rloo", "ptx_weight": 0.1}}
    )
    assert other.json()["errors"] == ["training.ptx_weight: rloo does not read it; leave it out, or take ppo"]


async def test_patience_reads_checks_where_the_constitution_has_some(service: Service, tmp_path: Path) -> None:
    judged = "name: judged\nprinciples:\n  - {id: kind, kind: judged, text: Be kind.}\n"
    await service.http.post("/v1/constitutions", content=judged)
    reads = {"patience": 2, "patience_reads": "checks", "held_out_share": 0.2}
    body = await service.run_body(tmp_path / "m") | {"training": reads}
    assert (await service.http.post("/v1/runs?dry_run=true", json=body)).status_code == 201
    refused = await service.http.post("/v1/runs?dry_run=true", json=body | {"constitution": "judged"})
    assert refused.status_code == 422 and refused.json()["detail"] == (
        "training.patience_reads: 'judged' has no checked principle; add one, or leave it out"
    )


async def test_what_scores_must_be_there_and_fit(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m") | {"stages": ["train", "evaluate", "bundle"]}
    judged = "name: judged\nprinciples:\n  - {id: kind, kind: judged, text: Be kind.}\n"
    await service.http.post("/v1/constitutions", content=judged)

    async def said(constitution: str = "short", **training: object) -> str:
        wanted = body | {"constitution": constitution, "training": {"method": "ppo", **training}}
        answer = await service.http.post("/v1/runs?dry_run=true", json=wanted)
        return answer.json()["detail"] if answer.status_code == 422 else f"{answer.json()['judge_calls']} calls"

    assert await said() == "0 calls"
    assert await said("judged") == (
        "constitution: nothing scores the replies of ppo: 'judged' has no checked principle that weighs; add one, set "
        "training.judge_weight, or name a training.reward_adapter"
    )
    # One training prompt, four epochs of two replies; none is held out.
    assert await said("judged", judge_weight=1, replies_per_prompt=2, epochs=4) == "8 calls"
    assert "'short' has no judged principle to grade by" in await said(judge_weight=1)
    assert "'pairwise' compares replies, and ppo wants a grade" in await said(
        "judged", judge_weight=1, judge_protocol="pairwise"
    )
    assert "training.judge_protocol: there is no 'odd'" in await said("judged", judge_weight=1, judge_protocol="odd")
    assert await said(reward_weight=2) == (
        "training.reward_weight: it says nothing without training.reward_adapter; set that too, or leave it out"
    )
    assert await said(reward_adapter="none") == (
        "training.reward_adapter: 'none' does not exist; there are none yet: post one"
    )
    assert "training.judge_weight: dpo does not read it; leave it out, or take ppo or rloo" in await said(
        method="dpo", judge_weight=1
    )


async def test_a_run_is_scored_by_an_adapter_that_stays_while_the_run_does(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m") | {"stages": ["train", "evaluate", "bundle"]}
    model = await service.store.models.get(service.project, "base")
    manifest = {"kind": "policy", "method": "ppo", "base_model": {"name": "base", "sha256": model.sha256}}

    async def adapter(**changes: object) -> str:
        maker = (await service.http.post("/v1/runs", json=body | {"training": {"method": "ppo"}})).json()["id"]
        new = AdapterRecord("", service.project, maker, "scores", "a", "0" * 64, 1, manifest | changes, "")
        return (await service.store.adapters.add(new)).id

    id = await adapter()
    wanted = body | {"training": {"method": "rloo", "reward_adapter": id, "check_weight": 0}}
    refused = await service.http.post("/v1/runs", json=wanted)
    assert refused.status_code == 422 and "was trained with ppo and gives no scores" in refused.json()["detail"]
    assert (await service.http.delete(f"/v1/adapters/{id}")).status_code == 200
    id = await adapter(kind="reward_model", method="reward")
    wanted["training"]["reward_adapter"] = "scores"  # by name
    run = (await service.http.post("/v1/runs", json=wanted)).json()["id"]
    held = await service.http.delete(f"/v1/adapters/{id}")
    assert held.status_code == 409 and held.json()["detail"] == f"adapter {id} is used by {run}; delete those first"
    await service.http.post(f"/v1/runs/{run}/cancel")
    assert (await service.http.delete(f"/v1/runs/{run}")).status_code == 200

    async def with_members(*members: str, **more: object) -> Response:
        training = {"method": "rloo", "reward_adapter": id, "reward_ensemble": members, **more}
        return await service.http.post("/v1/runs", json=body | {"training": training})

    other = await adapter(kind="reward_model", method="reward")
    for answer, said in (
        (await with_members("none"), "training.reward_ensemble: "),
        (await with_members(id), "is a member twice; name each once"),
        (await with_members(await adapter()), "was trained with ppo and gives no scores"),
        (await with_members(spread_weight=1), "training.spread_weight: it says nothing without training.reward_ens"),
        (await with_members(other, reward_adapter=None), "training.reward_ensemble: it says nothing without training."),
    ):
        assert answer.status_code == 422 and said in answer.json()["detail"], answer.text
    taken = (await with_members(other, spread_weight=0.5)).json()
    assert taken["request"]["training"]["reward_ensemble"] == [other]
    held = await service.http.delete(f"/v1/adapters/{other}")
    assert held.status_code == 409 and taken["id"] in held.json()["detail"]


async def test_revisions_are_imitated_without_judged_pairs(service: Service, tmp_path: Path) -> None:
    body = await service.run_body(tmp_path / "m") | {"training": {"method": "sft", "sft_on": "revisions"}}
    stages = ["sample", "revise", "train", "evaluate", "bundle"]
    taken = await service.http.post("/v1/runs?dry_run=true", json=body | {"stages": stages})
    assert taken.status_code == 201 and taken.json()["judge_calls"] == 0, taken.text
    everything = await service.http.post("/v1/runs?dry_run=true", json=body)
    assert everything.status_code == 422
    assert everything.json()["errors"] == [
        f"stages: training.sft_on revisions reads nothing of judge, mix; name {', '.join(stages)}"
    ]
    without = await service.http.post("/v1/runs?dry_run=true", json=body | {"stages": ["sample", "train"]})
    assert without.json()["errors"] == [
        "stages: 'train' needs revise in the same run; add what is missing, or leave 'train' out"
    ]


DEMONSTRATION = '{"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]}\n'


async def test_demonstrations_are_imitated_without_the_stages_before_training(service: Service, tmp_path: Path) -> None:
    made = await service.http.post("/v1/preference-sets?name=written", content=DEMONSTRATION)
    assert (made.status_code, made.json()["kind"], made.json()["rows"]) == (201, "demonstrations", 1), made.text
    await service.http.post("/v1/prompt-sets?name=unseen", content='{"prompt": "How?", "split": "held_out"}')
    training = {"method": "sft", "sft_on": "demonstrations"}
    stages = ["train", "evaluate", "bundle"]
    body = await service.run_body(tmp_path / "m") | {"training": training, "prompts": "unseen", "stages": stages}
    mix = {"human": "written"}
    taken = await service.http.post("/v1/runs?dry_run=true", json=body | {"mix": mix})
    assert taken.status_code == 201 and taken.json()["sample_calls"] == 0, taken.text
    for more, said in (
        ({}, "mix.human: training.sft_on demonstrations imitates the rows of a set; name it here"),
        ({"mix": mix | {"ratio": 0.2}}, "mix: training.sft_on demonstrations reads human alone; leave the other"),
        (
            {"mix": mix, "stages": ["sample", "judge", "mix", "train"]},
            "stages: training.sft_on demonstrations reads nothing of sample, judge, mix; name train, evaluate, bundle",
        ),
    ):
        answer = await service.http.post("/v1/runs?dry_run=true", json=body | more)
        assert answer.status_code == 422 and answer.json()["errors"][0].startswith(said), answer.text
    run = (await service.http.post("/v1/runs", json=body | {"mix": mix})).json()["id"]
    held = await service.http.delete(f"/v1/preference-sets/{made.json()['id']}")
    assert held.status_code == 409 and run in held.json()["detail"]


async def test_where_pairs_are_needed_demonstrations_are_refused(service: Service, tmp_path: Path) -> None:
    id = (await service.http.post("/v1/preference-sets?name=written", content=DEMONSTRATION)).json()["id"]
    body = await service.run_body(tmp_path / "m") | {"mix": {"human": "written"}}
    asked = {"name": "x", "preference_set": "written"}
    for setting, answer in (
        ("mix.human", await service.http.post("/v1/runs?dry_run=true", json=body)),
        ("preference_set", await service.http.post("/v1/label-projects", json=asked)),
        ("format trl", await service.http.get(f"/v1/preference-sets/{id}/export", params={"format": "trl"})),
    ):
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"].startswith(
            f"{setting}: 'written' holds demonstrations, one reply to each prompt"
        )
    out = await service.http.get(f"/v1/preference-sets/{id}/export", params={"format": "demonstrations"})
    assert (out.text, out.headers["X-Left-Out"]) == (DEMONSTRATION.replace(": ", ":").replace(", ", ","), "0")
    ours = await service.http.get(f"/v1/preference-sets/{id}/export")
    back = await service.http.post("/v1/preference-sets?name=back", content=ours.text)
    assert back.json()["kind"] == "demonstrations"


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"method": "dpo", "sweep": {"beta": [0.1, 0.3]}}, []),
        ({"method": "rloo", "sweep": {"kl_weight": [0.0, 0.1]}}, []),
        (
            {"method": "sft", "sweep": {"beta": [0.1, 0.3]}},
            ["training.sweep: sft does not read it; leave it out, or take dpo or ppo or rloo"],
        ),
        (
            {"method": "dpo", "sweep": {"kl_weight": [0.1, 0.3]}},
            ["training.sweep.kl_weight: dpo does not read it; take ppo or rloo"],
        ),
        (
            {"method": "dpo", "beta": 0.2, "sweep": {"beta": [0.1, 0.3]}},
            ["training.beta: the sweep names its values; leave it out"],
        ),
        (
            {"method": "dpo", "sweep": {"beta": [0.1, 101.0]}},
            ["training: 'beta' is 101.0; take a number from 0.0001 to 100.0"],
        ),
        (
            {"method": "ppo", "kl_target": 6.0, "sweep": {"kl_weight": [0.1, 0.3]}},
            ["training.kl_target: it would steer the kl_weight that the sweep sets; leave one of them out"],
        ),
        (
            {"method": "dpo", "development_share": 0.3},
            ["training.development_share: only a sweep needs such prompts; leave it out"],
        ),
    ],
)
def test_a_sweep_names_one_knob_of_its_method_and_values_of_it(training: dict[str, object], said: list[str]):
    assert unread_settings(request(**training)) == said


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"beta": [0.1]}, "at least 2 items"),
        ({"beta": [0.1 * n for n in range(1, 10)]}, "at most 8 items"),
        ({"beta": [0.1, 0.1]}, "beta has a value twice"),
        ({"beta": [0.1, 0.2], "kl_weight": [0.1, 0.2]}, "name one knob"),
        ({}, "name one knob"),
        ({"learning_rate": [0.1, 0.2]}, "learning_rate"),
    ],
)
def test_a_sweep_of_another_form_is_refused(sweep: dict[str, list[float]], said: str):
    with pytest.raises(ValidationError, match=said):
        request(sweep=sweep)


async def test_a_dry_run_counts_a_sweep_and_its_development_prompts_are_not_sampled(
    service: Service, tmp_path: Path
) -> None:
    body = await service.run_body(tmp_path / "m")
    lines = [{"prompt": f"Question {n}?", "split": "train" if n < 10 else "held_out"} for n in range(11)]
    await service.http.post("/v1/prompt-sets?name=eleven", content="\n".join(map(json.dumps, lines)))
    body |= {"prompts": "eleven", "training": {"sweep": {"beta": [0.1, 0.2, 0.3]}, "development_share": 0.3}}
    plan = (await service.http.post("/v1/runs?dry_run=true", json=body)).json()
    # 7 of 10 prompts are sampled 4 times; 3 are answered 4 times by the base and by each of three adapters.
    assert (plan["sample_calls"], plan["sweep_calls"], plan["evaluate_calls"]) == (28, 48, 8)
    few = await service.http.post(
        "/v1/runs", json=body | {"training": {"sweep": {"beta": [0.1, 0.2]}, "development_share": 0.1}}
    )
    assert few.status_code == 422 and "keeps 1 of 10 training prompts; 2 or more are" in few.json()["detail"]
    none = await service.http.post("/v1/runs", json=body | {"training": {"sweep": {"beta": [0.1]}}})
    assert none.status_code == 422 and "training.sweep.beta" in none.json()["detail"]
