"""One idea per screen, and names that say something."""

import ast

from tests.house.source import ROOT, modules

BANNED = ("util", "helper", "common", "misc", "manager", "handler", "processor")
# Tensors are named one by one, since each has its own shape: in losses, and in torch's own signatures of forward.
MOST_ARGUMENTS, TENSORS = 5, ("training/losses.py", "training/lora.py", "training/blocked_attention.py")


def functions():
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_functions_fit_on_a_screen():
    longest = {"train": 120}
    long = {
        f"{path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, node in functions()
        if "migrations" not in path.parts and node.end_lineno - node.lineno + 1 > longest.get(node.name, 60)
    }
    assert long == {}


def test_files_stay_short():
    assert {str(path): n for path in modules() if (n := (ROOT / path).read_text().count("\n")) > 400} == {}


def test_five_arguments_then_a_type():
    # A route's arguments are its query, not a call that anyone writes; commands of the CLI are the same.
    own = [
        (path, node) for path, node in functions() if not str(path).startswith(("service/api/routes", "service/cli"))
    ]
    many = {
        f"{path}:{node.lineno} {node.name}"
        for path, node in own
        if str(path) not in TENSORS
        and len([a for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]) > MOST_ARGUMENTS
    }
    assert many == set()


def test_names_give_their_reason():
    files = {
        str(path) for path in modules() if path.stem in ("base", "core") or any(word in path.stem for word in BANNED)
    }
    classes = {
        f"{path}: {node.name}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.lower().endswith(("manager", "helper", "handler", "processor"))
    }
    assert files | classes == set()


def test_inits_are_empty():
    assert {
        str(path) for path in modules() if path.name == "__init__.py" and (ROOT / path).read_text().strip()
    } == set()


# Where a job's failure, whatever it is, is logged and recorded: a run that nobody works on must not stay `running`.
JOB_EDGES = {"service/durable.py", "service/worker.py"}


def test_exceptions_are_caught_by_name():
    broad = {
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and str(path) not in JOB_EDGES
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
        and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
    }
    assert broad == set()


def test_modules_say_what_is_in_them():
    assert {str(path) for path, tree in modules().items() if tree.body and not ast.get_docstring(tree)} == set()
