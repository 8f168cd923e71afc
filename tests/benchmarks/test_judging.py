"""What the speed benchmark reads and computes; its servers and peers are not started here."""

import pytest

from benchmarks.helpful_pairs import read_pair
from benchmarks.judging import Timed, beside, missed, speeds, text_of
from benchmarks.judging_server import Tokens, read_tokens
from benchmarks.peers.environments import PeerRun
from judges.records import Message

METRICS = """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
vllm:prompt_tokens_total{engine="0",model_name="judge"} 1200.0
vllm:prompt_tokens_by_source_total{engine="0",model_name="judge",source="local_compute"} 400.0
vllm:prompt_tokens_by_source_total{engine="0",model_name="judge",source="local_cache_hit"} 800.0
vllm:generation_tokens_total{engine="0",model_name="judge"} 3e+01
vllm:prompt_tokens_created{engine="0",model_name="judge"} 1.7e+09
"""


def test_the_counters_are_read_by_their_source():
    assert read_tokens(METRICS) == Tokens(sent=1200, computed=400, written=30)
    assert read_tokens(METRICS).since(Tokens(200, 100, 10)) == Tokens(1000, 300, 20)


def test_a_row_is_a_conversation_and_its_two_last_turns():
    begun = "\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: Why?\n\nAssistant:"
    pair = read_pair("3", {"chosen": begun + " Because.", "rejected": begun + " No."})
    assert pair.messages == (Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "Why?"))
    assert (pair.a, pair.b) == ("Because.", "No.")


def test_speeds_and_ratios_by_hand():
    ours = [Timed(10.0, 20, 20, Tokens(4000, 2000, 40)), Timed(6.0, 20, 10, Tokens(4000, 2000, 40))]
    ceiling = [Timed(7.5, 20, 20, Tokens(4000, 2000, 40))] * 2
    line = speeds(ours, ceiling)
    assert line == pytest.approx(
        {
            "answered": 0.75,
            "verdicts_per_s": 2.5,
            "prompt_tokens_per_s": 500.0,
            "tokens_per_verdict": 202.0,
            "ceiling_prompt_tokens_per_s": 533.3333333,
            "ceiling_ratio": 0.9375,
        }
    )
    assert beside("trl", PeerRun(8.0, 40, 4), Tokens(6000, 0, 40), per_s=5.0) == {
        "trl_per_s": 2.5,
        "trl_answered": 0.1,
        "trl_tokens_per_comparison": 302.0,
        "trl_ratio": 2.0,
    }


def test_what_is_missed_depends_on_the_device():
    line = {"ceiling_ratio": 0.96, "distilabel_ratio": 3.0, "prefix_ratio": 1.7}
    assert missed(line | {"device": "cpu"}) == ["prefix_ratio"]
    assert missed(line | {"device": "cuda"}) == ["distilabel_ratio", "prefix_ratio"]


def test_the_page_has_every_judge_and_its_ratio():
    peers = {"per_s": 0.5, "answered": 0.25, "tokens_per_comparison": 900.0, "ratio": 2.0}
    line = {f"{name}_{field}": value for name in ("distilabel", "trl") for field, value in peers.items()}
    line |= {"pairs": 8, "verdicts_per_s": 1.0, "tokens_per_verdict": 700.0, "answered": 0.5, "ceiling_ratio": 1.02}
    line |= {"prompt_tokens_per_s": 714.0, "ceiling_prompt_tokens_per_s": 700.0, "prefix_ratio": 2.5}
    page = text_of(line | {"prefix_sent": 500, "prefix_computed": 200})
    assert "| ours, both orders, one token each | 1.00 | 700 | 50% | - |" in page
    assert page.count("| 0.50 | 900 | 25% | 2.00 |") == 2
    assert "we 714: 1.02 of the ceiling" in page and "2.50 times fewer" in page
