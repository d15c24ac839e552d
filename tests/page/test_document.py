"""What goes out as a page: text is text, and nothing but our own script runs."""

import hashlib
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from lib.page.document import render
from lib.page.status_page import status_page
from lib.page.user_page import missing_page
from lib.status.status import Arm, FailedPage, Failure, Keyspace, Queue, Status
from tests.status.healthy import AT, HEALTHY

MARKUP = """<script>alert(1)</script><b title="x">' & "</b>"""


class Tags(HTMLParser):
    """Collects the tags of a page, its attributes, and the ids there are twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id" and value]


def spoilt() -> Status:
    """A status all of whose words are markup."""
    run = replace(HEALTHY.runs[0], arms=(Arm(MARKUP, 1, MARKUP, MARKUP),))
    return replace(
        HEALTHY,
        runs=(run, *HEALTHY.runs[1:]),
        failures=(Failure(MARKUP, 3, AT, MARKUP),),
        failed_pages=(FailedPage(3, 1, None, AT),),
        queue=Queue(MARKUP, None, None),
        keyspace=Keyspace(MARKUP, None, None),
    )


@pytest.mark.parametrize(
    "text",
    [
        status_page(HEALTHY, {}).text,
        status_page(spoilt(), {"expires": MARKUP, "signature": MARKUP}).text,
        status_page(replace(HEALTHY, runs=()), {}).text,
        missing_page(MARKUP, MARKUP, {"expires": MARKUP}).text,  # type: ignore[arg-type]
    ],
    ids=["well", "markup", "no run", "no vector"],
)
def test_page_has_no_markup_but_ours(text: str):
    found = Tags(text)
    assert MARKUP not in text
    assert found.tags.count("script") <= 1
    assert "b" not in found.tags
    assert len(found.ids) == len(set(found.ids))
    # what the policy would keep from working
    assert found.attributes.isdisjoint({"style", "onclick", "onload", "src"})


@pytest.mark.parametrize(("tag", "directive"), [("style", "style-src"), ("script", "script-src")])
def test_policy_names_what_stands_in_the_page_by_its_hash(tag: str, directive: str):
    page = status_page(HEALTHY, {})
    [held] = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page.text, re.DOTALL)
    digest = b64encode(hashlib.sha256(held.encode()).digest()).decode()
    assert f"{directive} 'sha256-{digest}';" in page.headers["Content-Security-Policy"]


def test_headers_let_nothing_in_and_no_address_out():
    headers = status_page(HEALTHY, {}).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert not re.search(r"unsafe|\*|https?:|data:", headers["Content-Security-Policy"])
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_template_that_lacks_a_value_is_an_error():
    values: dict[str, Any] = {"user": "x", "query": {}}
    with pytest.raises(Exception, match="'reason' is undefined"):
        render("missing.html", **values)
