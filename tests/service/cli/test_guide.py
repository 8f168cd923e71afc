"""What the guide tells a user to copy is accepted: its files parse, its commands exist, its table has every knob."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from constitutions.lint import lint_constitution
from constitutions.loader import load_constitution_file
from service.cli.__main__ import app
from service.cli.runs import read_request
from service.exchange.preferences import read_preferences
from service.exchange.prompts import read_prompts
from service.pipeline.trainer_knobs import PER_STEP
from service.schemas import TrainingSettings
from training.configs import METHODS, DpoConfig, load_config
from training.rows import read_rows

GUIDE = (Path(__file__).parents[3] / "docs" / "guide.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?: {4})?(charter .*?)(?: +#.*)?$", GUIDE, re.MULTILINE)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with every file that the guide has the user write."""
    for name, text in re.findall(r"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", GUIDE, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_constitution_is_accepted_and_lacks_only_what_the_guide_says(files):
    law = load_constitution_file(files / "constitution.yaml")
    assert [principle.kind for principle in law.principles] == ["checked", "checked", "judged"]
    found = {(finding.severity, finding.code) for finding in lint_constitution(law)}
    assert found == {("info", "no-examples"), ("info", "few-examples")}


def test_prompts_pairs_and_rows_are_accepted(files):
    prompts = read_prompts((files / "prompts.jsonl").read_bytes(), "prompts.jsonl", "")
    assert [prompt.split for prompt in prompts] == ["train"] * 4 + ["held_out"] * 2
    assert len(read_preferences((files / "pairs.jsonl").read_bytes(), "pairs.jsonl", "", None, "")) == 1
    (row,) = read_rows(files / "rows.jsonl")
    assert row.p_chosen == 0.9


def test_the_run_names_what_was_posted_and_both_trainings_have_the_same_knobs(files):
    run = read_request(files / "run.yaml")
    named = (run.constitution, run.prompts, run.mix.human, run.model, run.judge.model)
    assert named == ("garden-help", "prompts", "pairs", "smollm2", "smollm2")
    config = load_config(files / "dpo.yaml", DpoConfig)
    assert run.training.learning_rate == config.learning_rate == 5e-4
    assert run.training.lora_layers_share == config.lora_layers_share == 0.5


def test_the_script_is_python(files):
    compile((files / "try.py").read_text(encoding="utf-8"), "try.py", "exec")


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line):
    group = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while hasattr(group, "commands"):
        group = group.commands[words.pop(0)]
    known = {option for parameter in group.params for option in parameter.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known
    required = {p.opts[0] for p in group.params if p.required and p.param_type_name == "option"}
    assert required <= set(words)


def test_there_are_commands():
    assert len(COMMANDS) >= 12


# A row: its knobs, their default, where they stand in a run.
ROWS = [
    (re.findall(r"`(\w+)`", knobs), default.strip(), place.strip())
    for knobs, default, place in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \| ([^|]*) \|", GUIDE, re.MULTILINE)
]


def test_the_table_has_every_knob_of_every_method():
    trainers = {one.name for config in METHODS.values() for one in fields(config)}
    per_step = set(PER_STEP.values())  # one setting of a run, and one row
    assert trainers - {name for names, _, _ in ROWS for name in names} - per_step == set()
    assert [name for name in per_step if f"`{name}`" not in GUIDE] == []


def test_the_table_has_every_setting_of_a_run_and_names_what_is_none():
    in_a_run = {name for names, _, place in ROWS for name in names if place == "✓"}
    assert in_a_run == set(TrainingSettings.model_fields)
    assert [names for names, _, place in ROWS if place == "by hand"] == [["shard_base"]]
    assert [names for names, _, place in ROWS if not place] == []


def test_the_table_has_the_defaults_of_both():
    settings = {name: field.default for name, field in TrainingSettings.model_fields.items()}
    numbers = {names[0]: float(said) for names, said, _ in ROWS if re.fullmatch(r"[\d.]+", said)}
    assert len(numbers) >= 30
    for name, said in numbers.items():
        own = {one.default for method in METHODS for one in fields(METHODS[method]) if one.name == name}
        assert own | {settings.get(name, said)} == {said}, name
