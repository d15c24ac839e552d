"""The errors of this system; each leaf that can meet a request maps to one HTTP answer.

ServiceError
├── SettingError      the environment is wrong: the process does not start
├── Unauthorized      401
├── Invalid           400, which field and which rule
├── Missing           404, with a reason
├── TooLarge          413
├── Malformed         489, never retried
├── Unavailable       503, retried
│   └── KeyRemains    the same, of an erasure that is done in Postgres alone
├── Damaged           a snapshot is not whole: nothing of what is wrong is used
└── EmbeddingError    one user's data is wrong: that user is skipped, the page goes on
"""


class ServiceError(Exception):
    """Whatever this system raises on purpose."""


class SettingError(ServiceError):
    """A variable of the environment is missing or breaks its rule."""


class Unauthorized(ServiceError):
    """The request carries no proof of who sent it."""


class Invalid(ServiceError):
    """A request breaks a rule: `field` names what is wrong, `rule` says what was expected."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field} must be {rule}")
        self.field = field
        self.rule = rule


class Missing(ServiceError):
    """What was asked for is not there; its text says why."""


class TooLarge(ServiceError):
    """The request's body is longer than any message of ours."""


class Malformed(ServiceError):
    """A signed message that can never work."""


class Unavailable(ServiceError):
    """Something this request needs is down or slow; it may pass."""


class KeyRemains(Unavailable):
    """A user is erased in Postgres; the key in Redis could not be deleted now."""


class Damaged(ServiceError):
    """What is stored of a snapshot is not what it must be."""


class EmbeddingError(ServiceError):
    """The numbers at hand make no vector."""
