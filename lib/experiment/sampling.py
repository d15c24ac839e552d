"""Which answers are remembered, where not all are."""

import hashlib
from uuid import UUID


def sampled(rec_id: UUID, share: float) -> bool:
    """Return whether an answer is one of the share, from 0 to 1, that is kept; always the same.

    Whoever is in a share is in every larger one.
    """
    return int.from_bytes(hashlib.sha256(rec_id.bytes).digest()[:8]) < share * 2**64
