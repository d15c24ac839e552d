"""The whole examination, in the order in which one thing needs another."""

from collections.abc import AsyncIterator

from lib.doctor import cache, deployment, life, queue, rights, schema
from lib.doctor.check import Check, examine
from lib.doctor.finding import Finding, wrong
from lib.doctor.patient import Patient
from lib.doctor.settings import settings
from lib.errors import SettingError, Unavailable
from lib.settings import DatabaseSettings, Environ
from lib.store.database import visiting

TOKEN = "set QSTASH_TOKEN, and QSTASH_URL for the region, to those the console shows"  # noqa: S105
DATABASE = "see DATABASE_URL: host, password, and whether this address is let in"

OUTSIDE: tuple[Check[Patient], ...] = (
    Check("settings", settings),
    Check("keys", queue.keys, remedy=TOKEN),
    Check("schedule", queue.schedule, after=("keys",), remedy=TOKEN),
    Check("dead letters", queue.given_up, after=("keys",), remedy=TOKEN),
    Check("function", deployment.function, remedy="vercel deploy --prod; see APP_URL"),
    Check("signature", deployment.signature, after=("keys", "function")),
    Check("redis", cache.redis),
)

DATA = ("schema", "row security")
INSIDE: tuple[Check[Patient], ...] = (
    Check("server", life.server),
    Check("clock", life.clock),
    Check("extension", schema.extension),
    Check("platform", schema.platform, after=("extension",)),
    Check("rights", rights.rights, after=("platform",)),
    Check("schema", schema.schema, after=("rights",)),
    Check("role", rights.role),
    Check("row security", rights.rows, after=("schema",)),
    Check("browsers", rights.browsers, after=("schema",)),
    Check("indexes", schema.indexes, after=("schema",)),
    Check("triggers", schema.triggers, after=("schema",)),
    Check("plan", life.plan, after=(*DATA, "indexes")),
    Check("model", life.model, after=DATA),
    Check("vectors", life.vectors, after=(*DATA, "model")),
    Check("actions", life.actions, after=(*DATA, "indexes")),
    Check("runs", life.runs, after=("schema",)),
    Check("failures", life.failures, after=("schema",)),
)


async def examination(environ: Environ) -> AsyncIterator[Finding]:
    """Yield a finding for each check; nothing of the deployment is changed."""
    patient = Patient(environ)
    async for finding in examine(OUTSIDE, patient):
        yield finding
    try:
        async with visiting(DatabaseSettings.load(environ)) as connection:
            patient.postgres = connection
            async for finding in examine(INSIDE, patient):
                yield finding
    except SettingError:
        return  # said already
    except Unavailable as error:
        yield wrong(str(error), DATABASE).of("postgres")
