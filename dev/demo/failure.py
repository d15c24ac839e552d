"""Why a demonstration ends early."""


class Failure(Exception):
    """The demonstration cannot go on; the message says why."""
