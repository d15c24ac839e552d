"""Messages that the stand-in of QStash has given up, without waiting for four attempts."""

from dev.qstash import Broker, DeadLetter, Delivery
from dev.qstash.letter import read_letter


def bury(
    broker: Broker,
    url: str,
    body: bytes = b"{}",
    *,
    status: int | None = 503,
    answer: bytes = b'{"error":"unavailable"}',
    bypass: str = "",
) -> DeadLetter:
    """Let the stand-in have given a message up after `status`, None for no answer."""
    headers = {"Upstash-Forward-x-vercel-protection-bypass": bypass} if bypass else {}
    message = broker.ledger.write(read_letter(url, headers.items(), body))
    sent = Delivery(message.message_id, url, body, (), 4, status, (), answer, None, 0.0, 0.0)
    broker.ledger.outbox.cancel(message)
    return broker.ledger.bury(message, sent)
