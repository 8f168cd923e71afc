"""vLLM's OpenAI server, its garbage collector woken less often: a fifth of its start went into collections in vain.

    python judges/vllm_server.py ARGUMENTS of vLLM's server

Its engine process runs the top of this file too, as every spawned process does its parent's. Nothing of ours is
imported: the interpreter may be another environment's.
"""

import gc
import runpy

# While modules are imported hardly anything becomes garbage. vLLM freezes what it holds once it is up.
gc.set_threshold(50_000, 20, 100)

if __name__ == "__main__":
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")
