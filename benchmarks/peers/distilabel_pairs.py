"""distilabel's pairwise task on one endpoint. Runs in an environment of its own, which has nothing of ours.

    python distilabel_pairs.py --url URL/v1 --model NAME --concurrency N < pairs.json

The pairs are a list of {"prompt", "a", "b"}; each is asked in both orders, as many at once as N, with the task's and
the model's own settings (128 new tokens). Its pipeline, which starts processes, is left out in its favour, and so is
the loading of the task. Prints {"seconds", "requests", "answered"}.
"""

import argparse
import json
import sys
import time

from distilabel.models import OpenAILLM
from distilabel.steps.tasks import PrometheusEval


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    options = parser.parse_args()
    llm = OpenAILLM(model=options.model, base_url=options.url, api_key="none")
    task = PrometheusEval(llm=llm, mode="relative", rubric="helpfulness")
    task.load()
    asked = [
        {"instruction": pair["prompt"], "generations": order}
        for pair in json.load(sys.stdin)
        for order in ([pair["a"], pair["b"]], [pair["b"], pair["a"]])
    ]
    answered = 0
    began = time.perf_counter()
    for start in range(0, len(asked), options.concurrency):
        for rows in task.process(asked[start : start + options.concurrency]):
            answered += sum(row["result"] in ("A", "B") for row in rows)
    print(json.dumps({"seconds": time.perf_counter() - began, "requests": len(asked), "answered": answered}))


if __name__ == "__main__":
    main()
