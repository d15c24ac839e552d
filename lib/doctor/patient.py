"""What is examined: a deployment as its environment describes it."""

from dataclasses import dataclass

from lib.settings import Environ
from lib.store.catalog import Kind
from lib.store.database import Connection


@dataclass
class Patient:
    """The environment, and the connection to Postgres once there is one."""

    environ: Environ
    postgres: Connection | None = None
    kinds: dict[str, Kind] | None = None

    @property
    def connection(self) -> Connection:
        if self.postgres is None:
            raise RuntimeError("expected a connection to Postgres, there is none yet")
        return self.postgres
