"""Postgres, who may do what: this role enough and not more, browsers nothing."""

from pathlib import Path

from lib.doctor.finding import Verdict, look, ok, wrong
from lib.doctor.patient import Patient
from lib.doctor.schema import PSQL, TABLES, few
from lib.store import catalog


def needed() -> list[tuple[str, str]]:
    """Return what db/roles.sql grants, as (relation, privilege)."""
    lines = Path(__file__).with_name("schema.txt").read_text().splitlines()
    found = [line.split() for line in lines]
    return [(words[1], words[2]) for words in found if words[0] == "right"]


async def rights(patient: Patient) -> Verdict:
    """Hold what this role may do against what the functions need."""
    if not await catalog.embedding_usable(patient.connection):
        return wrong("this role may not use the schema embedding", f"{PSQL}roles.sql")
    missing = await catalog.missing_rights(patient.connection, needed())
    if missing:
        return wrong("this role lacks " + few(missing), f"{PSQL}roles.sql")
    return ok("are enough")


async def role(patient: Patient) -> Verdict:
    """Say where the role may do more than the functions need."""
    found = await catalog.role(patient.connection)
    if found.excess:
        return look(
            f"{found.name} is {', '.join(found.excess)}",
            "db/roles.sql makes a role that can do the work and nothing else",
        )
    return ok(f"{found.name} can do no more than it must")


async def rows(patient: Patient) -> Verdict:
    """Look for rows that row level security hides from this role."""
    hidden = await catalog.hidden(patient.connection, (*TABLES, "user_embeddings"))
    if hidden:
        return wrong(
            f"row level security hides rows of {', '.join(hidden)} from this role",
            'psql "$DIRECT_URL" -c "CREATE POLICY user_embeddings ON ... FOR SELECT TO'
            ' user_embeddings USING (true)"',
        )
    return ok("are all seen")


async def browsers(patient: Patient) -> Verdict:
    """Look for what Supabase would serve to browsers."""
    exposed = await catalog.exposed(patient.connection)
    if exposed:
        return wrong(
            few(exposed),
            f"{PSQL}schema.sql, which takes their rights; drop or guard views of your own",
        )
    return ok("see nothing of ours")
