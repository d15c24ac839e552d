"""A page of HTML: one of the templates beside this file, and the policy it is shown under."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from lib.page import chart, wording
from lib.status.link import ending

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Document:
    """A page, and the headers it goes out with."""

    text: str
    headers: Mapping[str, str]


def render(template: str, **values: Any) -> Document:
    """Fill in a template; whatever it is given is text, and never markup."""
    style, script = _file("page.css"), _file("live.js")
    text = _environment().get_template(template).render(style=style, script=script, **values)
    return Document(text, _headers())


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for said in (
        *(wording.count, wording.short, wording.share, wording.rate),
        *(wording.span, wording.age, wording.clock),
    ):
        environment.filters[said.__name__] = said
    environment.filters["ending"] = ending
    environment.globals["chart"] = chart
    return environment


@cache
def _headers() -> Mapping[str, str]:
    # by their hashes, so that nothing else runs, whatever got into the page
    policy = {
        "default-src": "'none'",
        "style-src": _hash("page.css"),
        "script-src": _hash("live.js"),
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        # the address may hold a signature
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }


@cache
def _file(name: str) -> str:
    return (FOLDER / name).read_text()


def _hash(name: str) -> str:
    digest = hashlib.sha256(_file(name).encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
