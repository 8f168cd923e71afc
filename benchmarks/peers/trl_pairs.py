"""TRL's pairwise judge, which asks for text, on one endpoint. Runs in an environment of its own.

    OPENAI_BASE_URL=URL/v1 OPENAI_API_KEY=none python trl_pairs.py --model NAME < pairs.json

The pairs are a list of {"prompt", "a", "b"}; each is asked in both orders in one call, by the threads that TRL takes.
Prints {"seconds", "requests", "answered"}.
"""

import argparse
import json
import sys
import time

from trl.experimental.judges import OpenAIPairwiseJudge


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    options = parser.parse_args()
    judge = OpenAIPairwiseJudge(model=options.model, max_requests=None)
    pairs = json.load(sys.stdin)
    prompts = [pair["prompt"] for pair in pairs for _ in range(2)]
    orders = [order for pair in pairs for order in ([pair["a"], pair["b"]], [pair["b"], pair["a"]])]
    began = time.perf_counter()
    ranks = judge.judge(prompts, orders, shuffle_order=False)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "requests": len(ranks), "answered": sum(rank in (0, 1) for rank in ranks)}))


if __name__ == "__main__":
    main()
