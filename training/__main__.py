"""`python -m training dpo|sft|reward|ppo|rloo|merge|serve|kl|ensemble|convert`: the trainers without the service.

The last line on stdout is the result as JSON. Exit 0: done; 2: an error that the caller can mend, in one line on
stderr; 3: likewise, and it is due to these settings on these rows (a broken limit, a loss that is no number); 4: memory
ran out. With a lost number or memory that ran out, a line {"type": "kept", ...} on stdout names the adapter of the last
checkpoint, if there was one. SIGTERM ends the process at once: what was not yet in a checkpoint is done again by the
next start.
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from training.allocator import keep_freed_memory
from training.configs import METHODS, load_config
from training.exits import exit_status


def parser() -> argparse.ArgumentParser:
    """The command line: one sub-command a job."""
    root = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    jobs = {
        "dpo": "preference pairs",
        "sft": "the chosen replies",
        "reward": "preference pairs, a scoring model",
        "ppo": "own replies that are scored, with a value model",
        "rloo": "own replies that are scored beside one another",
    }
    for name, text in jobs.items():
        command = commands.add_parser(name, help=f"train on {text}")
        command.add_argument("config", type=Path, help="YAML file; its keys are the fields of training/configs.py")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key over the file's")
    merge = commands.add_parser("merge", help="write base and adapter as one full model")
    merge.add_argument("--model", type=Path, required=True)
    merge.add_argument("--adapter", type=Path, required=True)
    merge.add_argument("--output", type=Path, required=True)
    serve = commands.add_parser("serve", help="serve a reward model on loopback, as a judge")
    serve.add_argument("--model", type=Path, required=True)
    serve.add_argument("--adapter", type=Path, required=True)
    serve.add_argument("--name", default="reward-model", help="what requests call it")
    serve.add_argument("--port", type=int, default=0, help="0 takes a free one; the first line on stdout says which")
    kl = commands.add_parser("kl", help="how far adapters are from their base, on the replies that they wrote")
    kl.add_argument("--model", type=Path, required=True)
    kl.add_argument("--of", type=Path, nargs=2, action="append", required=True, metavar=("ADAPTER", "REPLIES"))
    kl.add_argument("--tokens-per-batch", type=int, default=2048)
    ensemble = commands.add_parser("ensemble", help="what reward models that differ in `member` know together")
    ensemble.add_argument("folders", type=Path, nargs="+", help="outputs of `python -m training reward`")
    convert = commands.add_parser("convert", help="turn the bundled GGUF model into a safetensors folder")
    convert.add_argument("--output", type=Path, required=True, help="the model's folder; kept if it exists")
    return root


def main(arguments: list[str]) -> int:
    """Run one command; heavy imports happen here, once it is known which."""
    options = parser().parse_args(arguments)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Do the job and print its result, once where several processes did it together."""
    # Progress bars of the libraries would mix with the lines that the service reads.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    keep_freed_memory()
    # Imports make objects and drop none: looking for garbage between them is a fifth of their time.
    gc.disable()
    try:
        job = imported(options)
    finally:
        gc.enable()
    from training.memory import larger_machine, memory_advice
    from training.ranks import joined_ranks

    with joined_ranks() as ranks, memory_advice(larger_machine):
        result = job()
        if ranks.first:
            print(json.dumps({"type": "result", **result}), flush=True)


def imported(options: argparse.Namespace) -> Callable[[], dict[str, object]]:
    """The job, with all that it needs imported."""
    match options.command:
        case "convert":
            from training.convert import bundled_gguf, convert_gguf

            return lambda: {"model": str(convert_gguf(bundled_gguf(), options.output))}
        case "merge":
            from training.merge import merge_adapter

            return lambda: {"model": str(merge_adapter(options.model, options.adapter, options.output))}
        case "serve":
            from training.reward_server import serve_reward

            return lambda: serve_reward(options.model, options.adapter, name=options.name, port=options.port)
        case "kl":
            from training.reply_kl import Written, reply_kls

            written, most = [Written(*pair) for pair in options.of], options.tokens_per_batch
            return lambda: {"kl": [asdict(kl) for kl in reply_kls(options.model, written, tokens_per_batch=most)]}
        case "ensemble":
            from training.reward_ensemble import ensemble_evidence

            return lambda: asdict(ensemble_evidence(options.folders))
        case method:
            from training.trainers import trainer_of

            train = trainer_of(method)
            return lambda: train(load_config(options.config, METHODS[method], tuple(options.set)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
