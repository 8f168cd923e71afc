"""How far two lists of log-probabilities are apart, by hand, and the table that is made of it."""

import math

import pytest

from benchmarks.sampler import apart, block


def test_apart_by_hand():
    found = apart([math.log(0.5), math.log(0.25)], [math.log(0.4), math.log(0.25)])
    # The trainer gives the first token 0.4 / 0.5 = 0.8 of what the sampler did; k3 is 0.8 - 1 - log 0.8.
    assert found["ratio_apart_mean"] == pytest.approx(0.1)
    assert found["ratio_apart_max"] == pytest.approx(0.2)
    assert found["kl"] == pytest.approx((0.8 - 1 - math.log(0.8)) / 2)


def test_the_table_leaves_out_what_was_not_measured():
    own = {"ratio_apart_mean": 0.1234, "ratio_apart_99": 0.5, "kl": 0.00126}
    server = {"seconds": 6.04, "trainer": own, "fp32": own}
    lines = block({"narrow": server, "wide": server, "trainer": {"fp32": own}}, "bf16", 32).splitlines()
    assert lines[4] == "| bf16 logits | 6.0 | 0.123 | 0.50 | 0.0013 | 0.123 | 0.50 | 0.0013 |"
    assert lines[6] == "| the trainer's own, bf16 |  |  |  |  | 0.123 | 0.50 | 0.0013 |"
