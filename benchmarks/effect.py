"""Is the effect true? The whole demo for three seeds, and the lift of the checked principles' joint compliance.

    python -m benchmarks.effect [--seeds 0 1 2] [--out out/effect]

Each seed is a run of `charter demo` in a process of its own: the real server, the real model. The last line is JSON:
the joint rate before and after with the lift's 95 % interval (clustered by prompt), seconds and peak memory a seed.
Exit status 1 where a lift is below 0.30 or its interval touches zero.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

LEAST_LIFT = 0.30


def joint_of(summary: Path) -> dict[str, float]:
    """The joint principle of one demo's summary."""
    principles = json.loads(summary.read_text(encoding="utf-8"))["principles"]
    joint = next(principle for principle in principles if principle["kind"] == "joint")
    return {name: joint[name] for name in ("before", "after", "low", "high")}


def run_seed(seed: int, out: Path) -> dict[str, float]:
    """One demo; its output goes to `out`.log, since the demo wants a folder of its own."""
    out.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with out.with_name(f"{out.name}.log").open("wb") as log:
        command = [sys.executable, "-m", "service.demo", "--seed", str(seed), "--out", str(out)]
        subprocess.run(command, stdout=log, stderr=log, check=True)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    joint = joint_of(out / "summary.json")
    return joint | {
        "seed": seed,
        "lift": joint["after"] - joint["before"],
        "seconds": time.monotonic() - began,
        "peak_memory_bytes": summary["peak_memory_bytes"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("out/effect"))
    options = parser.parse_args()
    results = []
    for seed in options.seeds:
        result = run_seed(seed, options.out / f"seed-{seed}")
        print(
            f"seed {seed}: joint {result['before']:.0%} -> {result['after']:.0%}, lift {result['lift']:+.0%} "
            f"(95 % {result['low']:+.0%} to {result['high']:+.0%}), {result['seconds']:.0f} s",
            flush=True,
        )
        results.append(result)
    reached = all(result["lift"] >= LEAST_LIFT and result["low"] > 0 for result in results)
    print(json.dumps({"seeds": results, "least_lift": LEAST_LIFT, "reached": reached}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
