"""One variable of the environment and the rules that values keep."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from lib.errors import SettingError

MOST_TOKENS = 2

type Environ = Mapping[str, str]

NAME = "[a-z0-9-]{1,40}"
SCHEME = rf"{NAME}(?:@[1-9][0-9]{{0,5}})?"
ARM = rf"{SCHEME}=[1-9][0-9]{{0,5}}"
BUCKET = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
EXPERIMENT = rf"{NAME}:{ARM}(?:,{ARM}){{1,7}}"


@dataclass(frozen=True)
class Variable[T]:
    """A variable and its rule. An empty value counts as unset; no default means required."""

    name: str
    meaning: str
    rule: str
    read: Callable[[str], T]
    default: str | None = None
    secret: bool = False

    def load(self, environ: Environ) -> T:
        """Return the variable's value; raise SettingError, which never shows a secret."""
        text = environ.get(self.name) or self.default
        if text is None:
            raise SettingError(f"{self.name} is missing: it must be {self.rule}")
        try:
            return self.read(text)
        except ValueError:
            # what has an @ may be a URL with a password in it
            shown = "" if self.secret or "@" in text else f", got {text!r}"
            raise SettingError(f"{self.name} must be {self.rule}{shown}") from None


def whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return read


def share(text: str) -> float:
    if not re.fullmatch(r"0|1|[01]\.[0-9]{1,9}", text) or float(text) > 1:
        raise ValueError
    return float(text)


def half_at_most(text: str) -> float:
    if share(text) > 0.5:  # noqa: PLR2004  # as its name says
        raise ValueError
    return float(text)


def word(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError
    return text


def tokens(text: str) -> tuple[str, ...]:
    found = tuple(word(text).split(","))
    if "" in found or len(found) > MOST_TOKENS:
        raise ValueError
    return found


def switch(text: str) -> bool:
    return whole(0, 1)(text) == 1


def scheme(text: str) -> str:
    return _spelt(SCHEME, text)


def no_scheme_or_one(text: str) -> str | None:
    return scheme(text) if text else None


def no_experiment_or_one(text: str) -> str | None:
    return _spelt(EXPERIMENT, text) if text else None


def bucket_or_none(text: str) -> str | None:
    return _spelt(BUCKET, text) if text else None


def origin(text: str) -> str:
    parts = urlsplit(word(text))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError
    if "@" in parts.netloc or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError
    return text


def postgres(text: str) -> str:
    parts = urlsplit(word(text))
    if parts.scheme not in {"postgres", "postgresql"} or parts.port == 0:
        raise ValueError
    # an unescaped #, / or ? in a password ends the host early
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError
    return text


def _spelt(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError
    return text
