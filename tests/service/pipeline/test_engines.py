"""How a model's server is started: what the worker passes on, without starting one."""

from pathlib import Path

import pytest

from judges.engine import server_command
from service.engines import EnginePool, engine_settings
from service.settings import Settings
from service.store.records import ModelRecord


class OnGpu(EnginePool):
    """A pool on a machine whose servers do not fit beside one another."""

    @property
    def side_by_side(self) -> bool:
        return False


async def test_a_judge_beside_a_trainer_has_a_small_server_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    model = ModelRecord("", "", "m", str(tmp_path / "m"), None, "m", None, "0" * 64, 512, "", "")
    pool = OnGpu(Settings(home=tmp_path, engine="scripted"))
    try:
        before = await pool.endpoint(model)
        async with pool.beside_training(model) as endpoint:
            assert endpoint == before and await pool.endpoint(model) == endpoint  # a new server at the old address
            assert Path(str(endpoint.uds)).exists()
        # It took a share of the memory only: whoever asks next gets a server that takes the usual one.
        assert not Path(str(endpoint.uds)).exists() and pool.deaths() == 0
    finally:
        await pool.close()


def of_context(tokens: int) -> ModelRecord:
    return ModelRecord("", "", "m", "/models/m", None, "m", None, "0" * 64, tokens, "", "")


@pytest.mark.parametrize(("own", "served"), [(512, "512"), (4096, "4096"), (131_072, "4096")])
def test_vllm_is_never_asked_for_a_longer_context_than_the_model_has(tmp_path: Path, own: int, served: str) -> None:
    settings = Settings(home=tmp_path, max_model_len=4096)
    # The base itself, and an adapter merged into it.
    for folder in (Path("/models/m"), tmp_path / "scratch" / "run_1" / "merged"):
        command = server_command(engine_settings(folder, of_context(own), settings))
        assert command[command.index("--model") + 1] == str(folder)
        assert command[command.index("--max-model-len") + 1] == served


def test_a_folder_registered_twice_has_a_server_for_each_context(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, max_model_len=4096)
    folder = Path("/models/m")
    short, long, longer = (engine_settings(folder, of_context(n), settings) for n in (512, 4096, 8192))
    assert short.socket_path != long.socket_path == longer.socket_path
