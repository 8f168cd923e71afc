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
from service.schemas import TrainingSettings
from training.configs import DpoConfig, TrainConfig, load_config
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


def test_the_table_has_every_knob_with_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", GUIDE, re.MULTILINE))
    knobs = {field.name: field.default for field in fields(TrainConfig) + fields(DpoConfig)}
    settings = {name: field.default for name, field in TrainingSettings.model_fields.items()}
    in_a_run = {name for name in rows if re.search(rf"^\| `{name}` \| [^|]* \| ✓ \|", GUIDE, re.MULTILINE)}
    assert in_a_run == set(settings)
    assert set(rows) == set(knobs) - {"model", "rows", "output"} | set(settings)
    numbers = {name: float(said) for name, said in rows.items() if re.fullmatch(r"[\d.]+ *", said)}
    assert numbers == {name: (knobs | settings)[name] for name in numbers}
    assert len(numbers) >= 12
