"""The demo's settings are those of the issue, and the API takes them."""

from service.demo.recipe import Posted, run_request
from service.schemas import RunRequest

POSTED = Posted(constitution="con_1", prompts="prm_1", human="prf_1", model="mdl_1", judge="mdl_2")


def test_the_request_is_what_the_issue_asks_for():
    request = run_request(POSTED, seed=7)
    assert RunRequest.model_validate_json(request.model_dump_json()) == request
    assert (request.sample.replies_per_prompt, request.sample.max_tokens, request.sample.temperature) == (4, 48, 0.7)
    assert (request.revise.replies_per_prompt, request.revise.steps) == (1, 1)
    assert request.compare.pairs_per_prompt == 2
    assert (request.mix.human, request.mix.ratio) == ("prf_1", 0.25)
    assert (request.evaluate.replies_per_prompt, request.evaluate.temperature) == (4, 0.7)
    assert (request.model, request.judge.model, request.seed) == ("mdl_1", "mdl_2", 7)


def test_no_judge_is_let_in_unqualified():
    assert run_request(POSTED, seed=0).judge.allow_unqualified == ()
