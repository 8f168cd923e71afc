"""The reward model behind HTTP: the trainer's own scores, through the client that judges with it, and bad requests."""

import asyncio
import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from constitutions.schema import JudgedPrinciple
from judges.client import ChatClient
from judges.protocols.registry import load_protocol
from judges.records import Abstention, Comparison, Message, Preference
from judges.replicas import Endpoint
from training.errors import TrainingError
from training.precision import resolve_numbers
from training.reward import train_reward
from training.reward_server import Batches, RewardServer, ScoringModel

from .test_reward import asked, classified, pairs, reward_config
from .test_rows import make_row

TASTE = JudgedPrinciple(kind="judged", id="taste", text="Early letters.")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    config = reward_config(tmp_path_factory.mktemp("reward"), tiny, pairs(8))
    train_reward(config)
    return config.output / "adapter"


@pytest.fixture(scope="module")
def server(adapter: Path, tiny: Path) -> Iterator[RewardServer]:
    with RewardServer(ScoringModel(tiny, adapter), "taste", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


async def test_the_client_reads_the_scores_that_transformers_gives(server: RewardServer, adapter: Path, tiny: Path):
    texts = ["aa", "", "zz", "a much longer reply " * 5]
    async with ChatClient([Endpoint("taste", server.url)]) as client:
        turns = [(*asked(1), Message("assistant", text)) for text in texts]
        scores = [reply.score for reply in await asyncio.gather(*(client.reward(turn) for turn in turns))]
    base = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, dtype=torch.float32)
    plain = PeftModel.from_pretrained(base, adapter).eval()
    row = make_row("r", prompt=asked(1))
    apart = 1e-4 if resolve_numbers("auto").precision == "fp32" else 3e-2  # the server's format is the machine's
    assert scores == pytest.approx([classified(plain, tiny, row, text) for text in texts], abs=apart)


def test_conversations_are_read_alike_by_many_threads_at_once(server: RewardServer):
    turns = [(*asked(n), Message("assistant", f"<|im_end|> {n} " * 20)) for n in range(8)] * 8
    alone = [server.model.tokens(turn) for turn in turns]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(server.model.tokens, turns)) == alone


def test_in_bf16_the_head_stays_in_fp32(adapter: Path, tiny: Path, server: RewardServer):
    rounded, turn = ScoringModel(tiny, adapter, "bf16"), (*asked(1), Message("assistant", "aa"))
    tokens = rounded.tokens(turn)
    assert rounded.scores([tokens]) == pytest.approx(server.model.scores([tokens]), abs=0.1)


async def test_it_is_a_judge_behind_the_reward_protocol(server: RewardServer):
    better, too_long = (Comparison(f"c{len(b)}", "p", asked(1), "aa", b) for b in ("zz", "a " * 5000))
    async with ChatClient([Endpoint("taste", server.url)]) as client:
        found, refused = [(await load_protocol("reward").judge(client, c, TASTE)).verdict for c in (better, too_long)]
    assert isinstance(found, Preference) and found.p_a > 0.5
    assert isinstance(refused, Abstention) and refused.cause == "too_long"


def said(server: RewardServer, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, data), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


TURNS = [{"role": "user", "content": "Letter 1?"}, {"role": "assistant", "content": "aa"}]


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({"messages": TURNS}, 200, None),
        ({"messages": TURNS, "model": "taste", "use_activation": False}, 200, None),
        (b"{", 400, "not JSON"),
        ([], 400, "an object"),
        ({"messages": TURNS, "model": "other"}, 400, "'other' is not served here; this is 'taste'"),
        ({"messages": TURNS, "use_activation": True}, 400, "send false"),
        ({"messages": []}, 400, "a list of turns"),
        ({"messages": [{"role": "user"}]}, 400, "messages[0]"),
        ({"messages": [*TURNS, {"role": "robot", "content": "a"}]}, 400, "messages[2]"),
        ({"messages": TURNS[:1]}, 400, "the last turn must be the assistant's"),
        ({"messages": TURNS[1:]}, 400, "after a prompt"),
        ({"messages": [TURNS[0], {"role": "assistant", "content": "\ud800"}]}, 400, "messages[1]: its text holds half"),
    ],
)
def test_a_request_gets_a_score_or_what_is_wrong_with_it(server: RewardServer, body: object, status: int, what: str):
    got, answer = said(server, "/classify", body)
    assert got == status, answer
    if what is None:
        assert isinstance(answer["data"][0]["probs"][0], float)
    else:
        assert what in answer["error"]["message"]


def test_it_says_what_it_serves(server: RewardServer):
    assert said(server, "/health") == (200, {})
    assert said(server, "/v1/models")[1]["data"][0]["id"] == "taste"
    assert said(server, "/v1/chat/completions", {})[0] == said(server, "/nothing")[0] == 404


def test_what_waits_is_scored_together_and_a_failure_reaches_each_that_asked():
    held, seen = threading.Event(), []

    def scores(batch):
        seen.append([len(tokens) for tokens in batch])
        held.wait(10)
        if (9,) in batch:
            raise RuntimeError("no memory")
        return [float(sum(tokens)) for tokens in batch]

    batches, found = Batches(scores), {}

    def ask(tokens: tuple[int, ...]) -> None:
        try:
            found[tokens] = batches.score(tokens)
        except RuntimeError as error:
            found[tokens] = str(error)

    asking = [threading.Thread(target=ask, args=(tokens,)) for tokens in ((1,), (2, 3), (9,))]
    asking[0].start()
    while not seen:
        pass
    for thread in asking[1:]:
        thread.start()
    held.set()
    for thread in asking:
        thread.join(10)
    assert found[(1,)] == 1.0 and found[(9,)] == "no memory"
    assert batches.score((4,)) == 4.0  # the thread lives on


def test_what_is_no_reward_model_and_a_taken_port_are_errors(
    server: RewardServer, adapter: Path, tiny: Path, tmp_path: Path
):
    with pytest.raises(TrainingError, match=r"no adapter_config\.json"):
        ScoringModel(tiny, tmp_path)
    shutil.copytree(adapter, tmp_path, dirs_exist_ok=True)
    shape = json.loads((adapter / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(shape | {"task_type": "CAUSAL_LM"}))
    with pytest.raises(TrainingError, match="not a reward model's adapter"):
        ScoringModel(tiny, tmp_path)
    with pytest.raises(TrainingError, match=r"--port \d+: .*take another"):
        RewardServer(server.model, "taste", server.server_address[1])
