"""Runs whose judge is asked in other ways than the default, and what is refused."""

from pathlib import Path

import pytest

from judges.errors import ProtocolError, TemplateError
from judges.protocols.registry import PROTOCOLS
from judges.records import PrincipleVerdict
from service.pipeline.context import open_context
from service.pipeline.stages import run_stage
from service.protocols import protocol_named
from service.schemas import Stage
from service.shards import keys_in, read_shards
from tests.service.pipeline.bench import Bench, add_run, open_bench
from training.tiny import build_tiny_model

PROMPT = "{{reply}}\n\nPrinciple: {{principle}}\nIs it kept? Answer yes or no."


def own_protocol(folder: Path, name: str = "mine", prompt: str = PROMPT) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "protocol.yaml").write_text("reader: yes_no\n")
    (folder / name / "prompt.txt").write_text(prompt)
    return folder


async def judged(bench: Bench, run_id: str) -> tuple[PrincipleVerdict, ...]:
    """The verdicts of the judged principle, after the stages before them."""
    context = await open_context(run_id, bench.tools)
    stages: tuple[Stage, ...] = ("sample", "judge")
    for stage in stages:
        await run_stage(context, stage)
    done = await bench.store.runs.stages(run_id)
    verdicts = await read_shards(bench.artifacts, keys_in(done["judge"].result), PrincipleVerdict)
    return tuple(v for v in verdicts if v.kind == "judged")


async def test_each_protocol_has_verdicts_of_its_own(tmp_path: Path) -> None:
    tiny = build_tiny_model(tmp_path / "tiny")
    bench = await open_bench(tmp_path / "home")
    try:
        hashes = {}
        for name in ("pairwise", "pointwise", "critique-first"):
            run = await add_run(bench, tiny, stages=("sample", "judge"), judge={"model": "tiny", "protocol": name})
            verdicts = await judged(bench, run.id)
            assert verdicts and {v.template_sha256 for v in verdicts} == {PROTOCOLS[name]().template_sha256}
            hashes[name] = verdicts[0].template_sha256
        assert len(set(hashes.values())) == 3
    finally:
        await bench.close()


def test_the_owners_protocols_have_names_and_no_paths(tmp_path):
    folder = own_protocol(tmp_path / "protocols")
    assert protocol_named("mine", folder).labels == ("no", "yes")
    assert protocol_named("pairwise", None).requests == 2
    for name in ("../protocols/mine", str(folder / "mine"), "", ".", "mine/"):
        with pytest.raises(ProtocolError, match=r"judge\.protocol: there is no .*pairwise.*mine$"):
            protocol_named(name, folder)


def test_a_faulty_one_is_refused_by_its_file(tmp_path):
    folder = own_protocol(tmp_path, prompt="{{reply}}\n{{princple}}")
    with pytest.raises(TemplateError, match=r"prompt\.txt.*princple"):
        protocol_named("mine", folder)
