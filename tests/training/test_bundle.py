"""Bundles: the same bytes for the same inputs, every change found, nothing from outside in the report."""

import io
import json
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from judges.measures import Statistic, measure
from training.bundle import BundleInputs, config_sha256, unpack_adapter, verify_bundle, write_bundle
from training.errors import BundleError
from training.evaluation import EvaluationReport, PrincipleResult, reply_statistics
from training.manifest import Manifest, ModelIdentity, installed_versions, manifest_from_json, manifest_to_json
from training.mix import MixConfig, mix_rows
from training.report import ExampleReplies, QualificationLine, Report
from training.reward_evidence import NormalScores, RewardEvidence
from training.weights import file_sha256, model_sha256

from .test_rows import make_row

METRICS = '{"step": 1, "loss": 0.69, "margin": 0.0, "accuracy": 0.5, "kl": 0.0}\n'


def make_inputs(folder: Path) -> BundleInputs:
    adapter = folder / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text("{}")
    (folder / "metrics.jsonl").write_text(METRICS * 2)
    manifest = Manifest(
        run="run_1", method="dpo", base_model=ModelIdentity("tiny", "b" * 64, "Apache-2.0"),
        judge=ModelIdentity("tiny", "b" * 64, "Apache-2.0"), adapter_sha256="", constitution_name="plain-speech",
        constitution_version="1", constitution_sha256="c" * 64, prompts_sha256="d" * 64, held_out_sha256="e" * 64,
        rows_sha256="f" * 64, config_json='{"beta": 0.1}', config_sha256=config_sha256({"beta": 0.1}),
        seeds=(("train", 0),), versions=installed_versions(), licences=(("prompts", "CC0"),),
        notes=("The judge is <b>unproven</b>.",),
    )  # fmt: skip
    result = PrincipleResult("brief", "checked", 0.1, 0.6, 0.5, 0.4, 0.6, 48, 192)
    report = Report(
        evaluation=EvaluationReport((result,), reply_statistics(["long reply"]), reply_statistics(["short"])),
        mix=mix_rows([make_row()], [], MixConfig()).report,
        qualification=(QualificationLine("kind", "unproven", 4, 0.5, 0.15, 0.85),),
        examples=(ExampleReplies("Hi <script>alert(1)</script>", "Hello!!", "Hello."),),
    )
    return BundleInputs(adapter, folder / "metrics.jsonl", "name: plain-speech\n", manifest, report)


def test_the_same_inputs_give_the_same_bytes_and_verify(tmp_path: Path):
    one = write_bundle(make_inputs(tmp_path / "one"), tmp_path / "one.tar.gz")
    write_bundle(make_inputs(tmp_path / "two"), tmp_path / "two.tar.gz")
    assert file_sha256(tmp_path / "one.tar.gz") == file_sha256(tmp_path / "two.tar.gz")
    manifest = verify_bundle(tmp_path / "one.tar.gz")
    assert manifest == replace(one, versions=tuple(sorted(one.versions)))
    # printf weights | sha256sum
    assert manifest.adapter_sha256 == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert not list(tmp_path.glob(".*tmp"))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def rewrite(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda files: files | {"adapter/adapter_model.safetensors": b"other"}, "safetensors' was changed"),
        (lambda files: files | {"extra.txt": b""}, "'extra.txt' is not in the manifest"),
        (lambda files: {name: data for name, data in files.items() if name != "README.md"}, "'README.md' is missing"),
        (lambda files: files | {"../evil": b""}, "do not unpack it"),
        (lambda files: {name: data for name, data in files.items() if name != "manifest.json"}, "no manifest.json"),
        (lambda files: files | {"manifest.json": b"{}"}, "not of the format"),
        (lambda files: files | {"manifest.json": b'{"format": "charter-bundle-1"}'}, "a key is missing"),
    ],
)
def test_a_changed_bundle_is_found_out(tmp_path: Path, change, says: str):
    path = tmp_path / "bundle.tar.gz"
    write_bundle(make_inputs(tmp_path / "in"), path)
    rewrite(path, change(members(path)))
    with pytest.raises(BundleError, match=re.escape(says)):
        verify_bundle(path)


def test_half_a_bundle_is_refused(tmp_path: Path):
    path = tmp_path / "bundle.tar.gz"
    write_bundle(make_inputs(tmp_path / "in"), path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BundleError, match="not a readable bundle"):
        verify_bundle(path)


def test_an_adapter_comes_out_of_its_bundle_as_it_went_in(tmp_path: Path):
    inputs, path = make_inputs(tmp_path / "in"), tmp_path / "bundle.tar.gz"
    write_bundle(inputs, path)
    unpack_adapter(path, tmp_path / "out")
    names = ("adapter_config.json", "adapter_model.safetensors")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == list(names)
    assert all((tmp_path / "out" / name).read_bytes() == (inputs.adapter / name).read_bytes() for name in names)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BundleError, match=r"bundle\.tar\.gz: "):
        unpack_adapter(path, tmp_path / "again")


def test_the_report_stands_alone_and_escapes_what_models_wrote(tmp_path: Path):
    write_bundle(make_inputs(tmp_path / "in"), tmp_path / "bundle.tar.gz")
    files = members(tmp_path / "bundle.tar.gz")
    page = files["report.html"].decode()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "<b>unproven" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("data:image/png;base64,") == 2
    assert "+50.0" in page and "60.0 %" in page
    card = files["README.md"].decode()
    assert "| brief | checked | 10.0 % | 60.0 % | +50.0 (+40.0 to +60.0) | 48 |" in card


def test_the_report_counts_right_answers_and_the_verdicts_in_whose_place_they_are(tmp_path: Path):
    inputs = make_inputs(tmp_path / "in")
    row, verdict = make_row(source="human"), make_row(id="m", source="ai")
    mix = mix_rows([row], [verdict], MixConfig(), gold=[row]).report
    write_bundle(replace(inputs, report=replace(inputs.report, mix=mix)), tmp_path / "bundle.tar.gz")
    page = " ".join(members(tmp_path / "bundle.tar.gz")["report.html"].decode().split())
    assert "1 pairs whose right answer was known are trained on as well, in place of 1 verdicts on them." in page


def test_a_bundle_without_evaluation_says_nothing_about_an_effect(tmp_path: Path):
    inputs = make_inputs(tmp_path / "in")
    write_bundle(replace(inputs, report=Report(None, None, (), ())), tmp_path / "bundle.tar.gz")
    files = members(tmp_path / "bundle.tar.gz")
    assert b"Effect" not in files["report.html"] and b"Effect" not in files["README.md"]


def test_a_reward_models_card_says_how_well_it_orders_and_how_to_load_it(tmp_path: Path):
    inputs = make_inputs(tmp_path / "in")
    held_out = replace(measure([]), examples=40, prompts=20, accuracy=Statistic(0.7), low=0.55, high=0.82,
                       longest_wins=Statistic(0.6), length_bias=Statistic(None, "too few answers"))  # fmt: skip
    evidence = RewardEvidence(NormalScores(0.25, 1.5, 64), held_out)
    manifest = replace(inputs.manifest, method="reward", kind="reward_model", normal=evidence.normal)
    report = replace(inputs.report, evaluation=None, examples=(), reward_model=evidence)
    write_bundle(replace(inputs, manifest=manifest, report=report), tmp_path / "bundle.tar.gz")
    files = members(tmp_path / "bundle.tar.gz")
    card = files["README.md"].decode()
    assert "AutoModelForSequenceClassification" in card and "AutoModelForCausalLM" not in card
    assert "| accuracy (95 % interval, clustered by prompt) | 0.700 (0.550 to 0.820) |" in card
    assert "| accuracy of naming the longer reply | 0.600 |" in card and "| length bias | too few answers |" in card
    assert "mean 0.2500" in card and "deviation 1.5000" in card
    page = files["report.html"].decode()
    assert "0.550 to 0.820" in page and "Effect on held-out prompts" not in page
    assert json.loads(files["report.json"])["reward_model"]["held_out"]["longest_wins"] == {"reason": "", "value": 0.6}
    found = verify_bundle(tmp_path / "bundle.tar.gz")
    assert (found.kind, found.normal) == ("reward_model", evidence.normal)


def test_every_reward_model_of_an_ensemble_is_named(tmp_path: Path):
    first, *further = (ModelIdentity(f"rm-{n}", str(n) * 64, "") for n in range(3))
    manifest = replace(make_inputs(tmp_path / "in").manifest, reward_model=first, reward_ensemble=tuple(further))
    values = json.loads(manifest_to_json(manifest))
    assert [one["name"] for one in values["reward_ensemble"]] == ["rm-1", "rm-2"]
    found = manifest_from_json(json.dumps(values))
    assert (found.reward_model, list(found.reward_ensemble)) == (first, further)
    del values["reward_ensemble"]  # as it was before the others were named
    assert manifest_from_json(json.dumps(values)).reward_ensemble == ()


def test_a_manifest_from_before_there_were_kinds_is_a_policys(tmp_path: Path):
    values = json.loads(manifest_to_json(make_inputs(tmp_path / "in").manifest))
    del values["kind"], values["normal"]
    found = manifest_from_json(json.dumps(values))
    assert (found.kind, found.normal) == ("policy", None)


def test_a_missing_adapter_is_named(tmp_path: Path):
    inputs = make_inputs(tmp_path / "in")
    (inputs.adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"no adapter_model\.safetensors"):
        write_bundle(inputs, tmp_path / "bundle.tar.gz")
    assert not (tmp_path / "bundle.tar.gz").exists()


def test_a_manifest_survives_its_json(tmp_path: Path):
    manifest = make_inputs(tmp_path / "in").manifest
    assert manifest_from_json(manifest_to_json(manifest)) == replace(
        manifest, versions=tuple(sorted(manifest.versions))
    )


def test_model_sha256_is_what_sha256sum_says_and_sees_every_change(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"w")
    # (cd folder; sha256sum config.json model.safetensors | sha256sum)
    assert model_sha256(tmp_path) == "d59dd8962da5bf711e439cc3990e32a0b8713dfc298850e4b2778eccf23d566f"
    (tmp_path / "notes.md").write_text("does not count")
    assert model_sha256(tmp_path) == "d59dd8962da5bf711e439cc3990e32a0b8713dfc298850e4b2778eccf23d566f"
    (tmp_path / "model.safetensors").write_bytes(b"v")
    assert model_sha256(tmp_path) != "d59dd8962da5bf711e439cc3990e32a0b8713dfc298850e4b2778eccf23d566f"
