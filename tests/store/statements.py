"""Every SQL statement of lib.store, as it is written down."""

import re
from importlib import import_module
from pathlib import Path

STORE = sorted((Path(__file__).parents[2] / "lib" / "store").glob("*.py"))
SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|CREATE|ALTER|DROP|TRUNCATE|GRANT|REVOKE|SET|COPY"
    r"|CALL|DO|EXPLAIN|VACUUM|LOCK|VALUES|TABLE|BEGIN|LISTEN|NOTIFY|FROM|WHERE|ORDER BY|LIMIT|AND"
    r"|OR|JOIN|ON CONFLICT|RETURNING)\b"
)


def statements() -> dict[str, str]:
    """Return the statements by module and name, such as `runs.PLAN_USERS`."""
    return {
        f"{path.stem}.{name}": value
        for path in STORE
        if path.stem != "__init__"
        for name, value in vars(import_module(f"lib.store.{path.stem}")).items()
        if name.isupper() and isinstance(value, str) and SQL.match(value)
    }
