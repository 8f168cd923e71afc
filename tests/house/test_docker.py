"""No Docker engine is at hand: the Dockerfile and the compose file are read and held to the rules that a linter has."""

import json
import re

import jsonschema
import yaml

from service.settings import Settings
from tests.house.source import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LINES = [line.strip() for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line.strip() and line[0] != "#"]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
BUILD_ONLY = {"CHARTER_DEVICE", "CHARTER_VENV", "CHARTER_EXTRAS"}


def test_every_base_image_has_a_tag():
    images = [line.split()[1] for line in LINES if line.startswith("FROM")]
    images += [service["image"] for service in COMPOSE["services"].values() if "image" in service]
    assert images and all(re.search(r":[\w.-]+$", image) and not image.endswith(":latest") for image in images)


def test_it_does_not_run_as_root_and_says_how_it_is():
    last_stage = LINES[max(i for i, line in enumerate(LINES) if line.startswith("FROM")) :]
    assert [line for line in last_stage if line.startswith("USER")][-1] != "USER root"
    assert any(line.startswith("HEALTHCHECK") for line in last_stage)
    assert LINES[-1].startswith("CMD [")


def test_nothing_is_added_from_the_net_and_lists_are_removed():
    assert not any(line.startswith("ADD") for line in LINES)
    assert all("rm -rf /var/lib/apt/lists" in line for line in LINES if "apt-get install" in line)
    assert all("--no-install-recommends" in line for line in LINES if "apt-get install" in line)


def test_what_is_copied_exists():
    for line in LINES:
        if line.startswith("COPY") and "--from" not in line:
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line


def test_every_variable_is_a_setting():
    known = {f"CHARTER_{name.upper()}" for name in Settings.model_fields} | BUILD_ONLY
    assert set(re.findall(r"CHARTER_[A-Z_]+", DOCKERFILE + (ROOT / "compose.yaml").read_text())) <= known


def test_compose_follows_the_compose_specification():
    # compose-spec.json is the specification's own schema (Apache-2.0), taken as it is.
    schema = json.loads((ROOT / "tests" / "house" / "compose-spec.json").read_text())
    assert list(jsonschema.Draft7Validator(schema).iter_errors(COMPOSE)) == []


def test_compose_refers_to_what_it_declares():
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            assert volume.startswith("${MODELS:-./models}:") or volume.split(":")[0] in COMPOSE["volumes"], name
        for other in service.get("depends_on", {}):
            assert other in COMPOSE["services"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert "privileged" not in service, name
