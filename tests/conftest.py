"""The order of the files: those that take minutes come first, so that no worker begins one when all else is done."""

import pytest

LONGEST = (
    "e2e/test_job.py",
    "service/test_kills.py",
    "service/demo/test_demo_runs.py",
    "e2e/test_engine.py",
    "e2e/test_attacks.py",
    "e2e/test_adapter_in_vllm.py",
    "service/test_faults.py",
    "service/api/test_killed.py",
    "service/pipeline/test_stages.py",
    "service/test_cancel.py",
    "service/pipeline/test_scoring.py",
    "service/pipeline/test_sweeps.py",
    "training/test_ranks.py",
    "service/pipeline/test_deaths.py",
    "training/test_training.py",
    "service/demo/test_demo_replies.py",
    "service/api/test_any_request.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=place)


def place(item: pytest.Item) -> int:
    file = item.path.as_posix()
    return next((rank for rank, name in enumerate(LONGEST) if file.endswith(f"tests/{name}")), len(LONGEST))
