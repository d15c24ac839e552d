"""Whatever is fuzzed, by name."""

from collections.abc import Callable, Mapping

from dev.fuzz import bodies, message, query, signature

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "signature": signature.check,
    "message": message.check,
    "failure": message.check_failure,
    "log": bodies.check_log,
    "impressions": bodies.check_impressions,
    "query": query.check,
}
"""Each takes any bytes, and raises only where a promise is broken."""
