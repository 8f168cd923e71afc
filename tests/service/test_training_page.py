"""docs/training.md: a section for each method with its own knobs, and examples that both doors take."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from service.pipeline.trainer_knobs import unread_settings
from service.schemas import RunRequest
from training.configs import METHODS, Method, TrainConfig, config_from

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SHARED = {declared.name for declared in fields(TrainConfig)}
NEEDED = {"constitution": "c", "prompts": "p", "model": "m", "judge": {"model": "j"}}


def examples(method: Method, first_line: str) -> list[dict[str, object]]:
    blocks = re.findall(r"^```yaml\n# (.*?)\n(.*?)^```$", SECTIONS[method], re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(text) for said, text in blocks if said == first_line]


@pytest.mark.parametrize("method", METHODS)
def test_a_section_explains_every_knob_of_its_own_and_names_a_reference(method: Method):
    own = {declared.name for declared in fields(METHODS[method])} - SHARED
    assert [name for name in own if f"`{name}" not in SECTIONS[method]] == []
    assert "arXiv:" in SECTIONS[method]


@pytest.mark.parametrize("method", METHODS)
def test_its_config_is_one_of_the_command(method: Method):
    (config,) = examples(method, f"python -m training {method} FILE")
    config_from(config, METHODS[method], "docs/training.md")


@pytest.mark.parametrize("method", METHODS)
def test_its_runs_are_ones_of_the_api_and_every_setting_is_read(method: Method):
    bodies = examples(method, "POST /v1/runs")
    assert bodies
    for body in bodies:
        run = RunRequest.model_validate(NEEDED | body)
        assert run.training.method == method
        assert unread_settings(run) == []
        assert [need for stage in run.stages for need in run.needs(stage) if need not in run.stages] == []
