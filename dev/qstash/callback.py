"""What a callback or failure callback tells about a delivery."""

import base64
import json
from dataclasses import replace

from dev.qstash.letter import Headers, Letter
from dev.qstash.message import Delivery, Message

NO_ANSWER = 0


def report(
    callback: Letter, message: Message, delivery: Delivery, dlq_id: str | None = None
) -> Letter:
    """Return `callback` with the body that tells how `delivery` of `message` went."""
    letter = message.letter
    answer = delivery.response_body or (delivery.error or "").encode()
    content = {
        "status": NO_ANSWER if delivery.status is None else delivery.status,
        "header": grouped(delivery.response_headers),
        "body": _encoded(answer),
        "retried": delivery.attempt - 1,
        "maxRetries": letter.retries,
        "sourceMessageId": message.message_id,
        "url": letter.url,
        "method": letter.method,
        "sourceHeader": grouped(letter.headers),
        "sourceBody": _encoded(letter.body),
        "notBefore": str(milliseconds(message.due)),
        "createdAt": str(milliseconds(message.created)),
        "scheduleId": message.schedule_id,
        "callerIP": letter.caller_ip,
        "dlqId": dlq_id,
    }
    given = {name: value for name, value in content.items() if value is not None}
    return replace(callback, body=json.dumps(given).encode())


def grouped(headers: Headers) -> dict[str, list[str]]:
    """Return each header's values under its name, as the real API writes headers."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return values


def milliseconds(seconds: float) -> int:
    """Return the unix time in ms, as the real API writes times."""
    return round(seconds * 1000)


def _encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()
