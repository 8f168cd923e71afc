"""The service's settings: environment variables with the prefix CHARTER_, each with a default for one machine."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_HOME = Path("~/.local/share/charter")


class Settings(BaseSettings):
    """What the processes of one service share.

    - `home`: database, artifacts, logs, sockets and scratch folders, unless the next two say otherwise.
    - `database_url`: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME. Take Postgres for several machines.
    - `artifacts_url`: a folder, or s3://BUCKET/PREFIX. Take S3 for several machines.
    - `host`, `port`: where the API listens. Beyond loopback it refuses to start without an API key.
    - `allowed_hosts`: names in the Host header that are answered; * for all.
    - `engine`: vllm, or scripted for trying the service without a model.
    - `scripted_behaviour`: the scripted server's file.
    - `protocols`: a folder of your own judging protocols, a folder each; runs name them in `judge.protocol`.
    - `max_model_len`: the engines' context in tokens; a longer context costs memory.
    - `engine_concurrency`: sequences that an engine works on at once.
    - `max_upload_mb`: the largest body that is read.
    - `requests_per_minute`: of one API key.
    - `lease_s`: how long a silent worker counts as alive. Its runs go on elsewhere after that.
    - `worker`: whether `charter serve` runs a worker beside the API.
    - `first_key_file`: where the first key is also written (mode 0600), for a client on the same machine.
    """

    model_config = SettingsConfigDict(env_prefix="CHARTER_", extra="forbid", frozen=True)

    home: Path = DEFAULT_HOME
    database_url: str = ""
    artifacts_url: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    engine: Literal["vllm", "scripted"] = "vllm"
    scripted_behaviour: Path | None = None
    protocols: Path | None = None
    max_model_len: Annotated[int, Field(ge=64, le=1_000_000)] = 4096
    engine_concurrency: Annotated[int, Field(ge=1, le=4096)] = 128
    max_upload_mb: Annotated[int, Field(ge=1, le=100_000)] = 512
    requests_per_minute: Annotated[int, Field(ge=1)] = 6000
    lease_s: Annotated[float, Field(ge=2, le=3600)] = 15.0
    worker: bool = True
    first_key_file: Path | None = None

    def environment(self) -> dict[str, str]:
        """The variables that give a child process these settings."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {
            f"CHARTER_{name.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in values.items()
        }

    @property
    def folder(self) -> Path:
        """`home`, with ~ spelt out."""
        return self.home.expanduser().absolute()

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.folder / 'charter.sqlite'}"

    @property
    def artifacts(self) -> str:
        """The artifact store's URL or folder."""
        return self.artifacts_url or str(self.folder / "artifacts")

    @property
    def scratch(self) -> Path:
        """Folders of runs in progress: trainers' checkpoints, merged weights. Safe to delete when nothing runs."""
        return self.folder / "scratch"
