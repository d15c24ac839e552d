"""INFO as Upstash answers it: fewer sections than Valkey's, and fewer fields."""

from collections.abc import Mapping, Sequence

FIELDS: Mapping[str, Sequence[str]] = {
    "server": ("redis_version", "redis_mode"),
    "clients": ("connected_clients", "maxclients"),
    "memory": ("used_memory", "used_memory_human", "maxmemory", "maxmemory_policy"),
    "stats": (
        "total_connections_received",
        "total_commands_processed",
        "instantaneous_ops_per_sec",
        "expired_keys",
        "evicted_keys",
        "keyspace_hits",
        "keyspace_misses",
    ),
    "cluster": ("cluster_enabled",),
    "keyspace": ("db0",),
}
"""By section. What Upstash has besides, Valkey does not know."""

EVERY = {"default", "all"}


def info(command: Sequence[str], answer: bytes) -> bytes:
    """Return Valkey's answer to `INFO`, or `INFO section`, with what Upstash would tell of it.

    Of a section that Upstash has not, the heading alone.
    """
    lines = answer.decode().splitlines()
    values = dict(line.split(":", 1) for line in lines if ":" in line and line[0] != "#")
    wanted = command[1].lower() if len(command) > 1 else "default"
    sections = FIELDS if wanted in EVERY else (wanted,)
    return "\r\n".join(_section(section, values) for section in sections).encode()


def _section(name: str, values: Mapping[str, str]) -> str:
    told = [f"{field}:{values[field]}" for field in FIELDS.get(name, ()) if field in values]
    return "".join(f"{line}\r\n" for line in (f"# {name.capitalize()}", *told))
