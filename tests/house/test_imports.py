"""Arrows point down, and each heavy library has one door."""

import ast
import subprocess
import sys

from tests.house.source import ROOT, modules

HEAVY = {"torch", "transformers", "peft", "vllm", "accelerate", "safetensors"}
# Tens of MB each: imported where they are used, or only in a child process.
ON_REQUEST = HEAVY | {"scipy", "sklearn", "datasketch", "krippendorff", "matplotlib", "pandas"}
DOORS = {
    "sqlalchemy": ("service/store/",),
    "alembic": ("service/store/",),
    "dbos": ("service/durable.py",),
    "obstore": ("service/artifacts.py",),
}
NOT_ON_A_GPU_NODE = {"pydantic", "fastapi", "httpx", "datasets", "pyarrow", "vllm", "ray", "sqlalchemy", "starlette"}
# Files that a child process runs by path: they are never imported by the service.
SCRIPTS = {"service/demo/try_adapter.py"}

# Imported only where someone asks for a server beside the trainer: vLLM to sample, a judge, or Ray to start it.
BESIDE_A_SERVER = ("engine_sampler.py", "judge_scorer.py", "on_ray.py")
# A finder that finds none of these: as if they were not installed.
BARE = f"""
import sys, importlib
from importlib.machinery import PathFinder
class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.split(".")[0] in {NOT_ON_A_GPU_NODE | {"matplotlib", "scipy", "sklearn", "re2", "tenacity"}!r}
        return None if absent else PathFinder.find_spec(name, path, target)
sys.meta_path = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
"""


def imports(path, tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


def test_no_torch_outside_training():
    wrong = {
        (str(path), name)
        for path, tree in modules().items()
        if path.parts[0] != "training" and str(path) not in SCRIPTS
        for name in imports(path, tree)
        if name in HEAVY
    }
    assert wrong == set()


def test_each_library_has_one_door():
    wrong = {
        (str(path), name)
        for path, tree in modules().items()
        for name in imports(path, tree)
        if name in DOORS and not str(path).startswith(DOORS[name])
    }
    assert wrong == set()


def test_training_runs_on_a_bare_gpu_node():
    wrong = {
        (str(path), name)
        for path, tree in modules().items()
        if path.parts[0] == "training" and path.name not in BESIDE_A_SERVER
        for name in imports(path, tree)
        if name in NOT_ON_A_GPU_NODE
    }
    assert wrong == set()


def test_records_are_plain_standard_library():
    for name in ("judges/records.py", "training/rows.py", "constitutions/errors.py"):
        tree = ast.parse((ROOT / name).read_text())
        found = set(imports(name, tree))
        assert found <= set(sys.stdlib_module_names) | {"judges", "constitutions", "training"}, name


def test_nothing_above_training_loads_torch_however_far_down():
    names = [
        ".".join(path.with_suffix("").parts)
        for path in modules()
        if path.parts[0] != "training" and path.name != "__main__.py" and str(path) not in SCRIPTS
        if path.name != "__init__.py" and "migrations" not in path.parts
    ]
    load = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)"
    assert run_python(f"{load}\nprint(sorted({HEAVY!r} & set(sys.modules)))") == "[]"


def test_a_service_that_starts_loads_nothing_that_only_some_requests_need():
    code = f"import sys\nimport service.serve, service.worker\nprint(sorted({ON_REQUEST!r} & set(sys.modules)))"
    assert run_python(code) == "[]"


def test_training_loads_on_a_bare_gpu_node():
    # Plots need matplotlib: the report imports them where it draws.
    names = [
        ".".join(path.with_suffix("").parts)
        for path in modules()
        if path.parts[0] == "training" and path.name not in ("__init__.py", "__main__.py", "plots.py", *BESIDE_A_SERVER)
    ]
    assert run_python(f"{BARE}\nfor name in {names!r}: importlib.import_module(name)\nprint('all')") == "all"


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()
