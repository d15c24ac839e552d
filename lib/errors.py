"""The errors of this system; each leaf that can meet a request maps to one HTTP answer.

ServiceError
├── SettingError      the environment is wrong: the process does not start
├── Unauthorized      401
├── TooLarge          413
├── Malformed         489, never retried
├── Unavailable       503, retried
└── EmbeddingError    one user's data is wrong: that user is skipped, the page goes on
"""


class ServiceError(Exception):
    """Whatever this system raises on purpose."""


class SettingError(ServiceError):
    """A variable of the environment is missing or breaks its rule."""


class Unauthorized(ServiceError):
    """The request carries no proof of who sent it."""


class TooLarge(ServiceError):
    """The request's body is longer than any message of ours."""


class Malformed(ServiceError):
    """A signed message that can never work."""


class Unavailable(ServiceError):
    """Something this request needs is down or slow; it may pass."""


class EmbeddingError(ServiceError):
    """The numbers at hand make no vector."""
