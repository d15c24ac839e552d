"""Whether the environment is whole."""

from lib.batch.services import Services
from lib.doctor.finding import Verdict, ok, wrong
from lib.doctor.patient import Patient
from lib.errors import SettingError
from lib.settings import (
    CacheSettings,
    DatabaseSettings,
    ExplorationSettings,
    ImpressionSettings,
    QueueSettings,
    RunSettings,
    SigningKeys,
    Tokens,
    VectorSettings,
)

ALL = (
    DatabaseSettings,
    QueueSettings,
    SigningKeys,
    CacheSettings,
    VectorSettings,
    RunSettings,
    ImpressionSettings,
    ExplorationSettings,
    Tokens,
    Services,  # which also knows the schemes
)


async def settings(patient: Patient) -> Verdict:
    """Load every setting that any function or command needs."""
    complaints: dict[str, None] = {}
    for kind in ALL:
        try:
            kind.load(patient.environ)
        except SettingError as error:
            complaints[str(error)] = None
    if complaints:
        return wrong(
            "; ".join(complaints),
            "set it at Vercel (Settings, Environment Variables) and here, then redeploy;"
            " .env.example has them all",
        )
    return ok("all are there and keep their rules")
