"""How QStash is to deliver every message of ours, whoever publishes it."""

from typing import Literal, TypedDict

from lib.settings import QueueSettings

RETRIES = 3
# 20 s, 60 s, 180 s: the last attempt is within the 10 minutes for which QStash knows duplicates
RETRY_DELAY = "20000 * pow(3, retried)"
LABEL = "user-embeddings"
SCHEDULE_ID = "user-embeddings"
BYPASS = "x-vercel-protection-bypass"


class Delivery(TypedDict):
    """The arguments that publishing and scheduling have in common in the SDK."""

    method: Literal["POST"]
    content_type: str
    headers: dict[str, str]
    retries: int
    retry_delay: str
    failure_callback: str
    failure_callback_headers: dict[str, str]
    label: str


def delivery(settings: QueueSettings) -> Delivery:
    """Return how messages for this deployment travel."""
    bypass = {BYPASS: settings.bypass} if settings.bypass else {}
    return {
        "method": "POST",
        "content_type": "application/json",
        "headers": bypass,
        "retries": RETRIES,
        "retry_delay": RETRY_DELAY,
        "failure_callback": failure_callback(settings.app_url),
        # the SDK prefixes these with Upstash-Failure-Callback- only
        "failure_callback_headers": {f"Forward-{name}": bypass[name] for name in bypass},
        "label": LABEL,
    }


def destination(app_url: str) -> str:
    """Return the URL that messages are delivered to, as it is signed."""
    return f"{app_url}/api/actions/batch-process"


def failure_callback(app_url: str) -> str:
    """Return the URL that is told of messages that failed for good, as it is signed."""
    return f"{app_url}/api/actions/batch-failed"
