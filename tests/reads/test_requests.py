"""What is wrong with a request is said before anything is opened."""

from uuid import UUID

import httpx
import pytest

from tests.reads.conftest import ADMIN, API, Reads

USER = UUID("1b4e28ba-2fa1-4d3b-8f5e-6d2f0c9a7e11")
OTHER = UUID("6f2b3c8e-8d6f-4a57-9b0a-0d3a9e8f1c11")
PATHS = [
    f"/api/users/{USER}/embedding",
    f"/api/users/{USER}/similar",
    f"/api/users/{USER}/similarity/{OTHER}",
]

STRANGERS = {
    "nothing": {},
    "another token": {"Authorization": "Bearer stranger"},
    "another kind": {"Authorization": "Basic reads"},
    "the token alone": {"Authorization": "reads"},
    "a longer token": {"Authorization": "Bearer reads2"},
    "a token twice": {"Authorization": "Bearer reads reads"},
    "the admin's token": ADMIN,
}


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize(
    "path", [*PATHS, "/api/users/7/embedding?limit=x", "/api/users/7/similar?x"]
)
async def test_stranger_is_told_one_thing_and_nothing_is_opened(reads: Reads, path: str, name: str):
    answer = await reads.http.get(path, headers=STRANGERS[name])
    assert (answer.status_code, answer.content) == (401, b'{"error":"unauthorized"}')
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (reads.proxy.connections, reads.upstash.requests) == (0, [])


NO_UUIDS = ["7", "everybody", str(USER)[:-1], f"{USER}0", USER.hex, f"{{{USER}}}", "%00", "%F0%9F"]
A_LIMIT = "a whole number from 1 to 100"
BAD = [
    *[
        (f"/api/users/{text}/{what}", "id", "a UUID")
        for text in NO_UUIDS
        for what in ("embedding", "similar", f"similarity/{OTHER}")
    ],
    *[(f"/api/users/{USER}/similarity/{text}", "other", "a UUID") for text in NO_UUIDS],
    *[
        (f"/api/users/{USER}/similar?limit={text}", "limit", A_LIMIT)
        for text in ("0", "101", "-1", "1.5", "x", "", "1e1", "9" * 30, "%D9%A1", "+5", "%205")
    ],
    (f"/api/users/{USER}/similar?limit=5&limit=6", "limit", "there once"),
    (f"/api/users/{USER}/similar?top=5", "top", "one of limit"),
    (f"/api/users/{USER}/similarity/{OTHER}?limit=5", "limit", "one of none"),
    (f"/api/users/{USER}/embedding?why=yes", "why", "0 or 1"),
    (f"/api/users/{USER}/embedding?why=", "why", "0 or 1"),
    (f"/api/users/{USER}/embedding?Why=1", "Why", "one of why"),
    (f"/api/users/{USER}/embedding?why=1&because=1", "because", "one of why"),
]


@pytest.mark.parametrize(("path", "field", "rule"), BAD)
async def test_bad_input_is_named_with_its_rule_and_nothing_is_opened(
    reads: Reads, path: str, field: str, rule: str
):
    answer = await reads.http.get(path, headers=API)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid", "field": field, "rule": rule}
    assert (reads.proxy.connections, reads.upstash.requests) == (0, [])


@pytest.mark.parametrize("text", NO_UUIDS)
async def test_erasure_of_what_is_no_user_is_refused(reads: Reads, text: str):
    answer = await reads.http.delete(f"/api/users/{text}/embedding", headers=ADMIN)
    assert (answer.status_code, answer.json()["field"]) == (400, "id")
    answer = await reads.http.delete(f"/api/users/{USER}/embedding?force=1", headers=ADMIN)
    assert (answer.status_code, answer.json()["field"]) == (400, "force")
    assert (reads.proxy.connections, reads.upstash.requests) == (0, [])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_told_which_there_are(reads: Reads, path: str, method: str):
    if (path, method) == (PATHS[0], "DELETE"):
        pytest.skip("that is one of its own")
    answer = await reads.http.request(method, path, headers=API | ADMIN)
    assert answer.status_code == 405
    own = {"GET", "HEAD"} | ({"DELETE"} if path == PATHS[0] else set())
    assert set(answer.headers["Allow"].split(", ")) == own
    assert (reads.proxy.connections, reads.upstash.requests) == (0, [])


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/api/users", "/api/users/", f"/api/users/{USER}", f"/api/users/{USER}/"),
        *(f"{path}/" for path in PATHS),
        *(f"/{path}" for path in PATHS),
        *(path.upper() for path in PATHS),
        f"/api/users/{USER}/similarity",
        f"/api/users/{USER}/x/embedding",
    ],
)
async def test_other_paths_are_not_there(reads: Reads, path: str):
    for method in ("GET", "DELETE", "POST"):
        target = httpx.URL("https://app.example", raw_path=path.encode())
        answer = await reads.http.request(method, target, headers=API)
        assert answer.status_code == 404
        assert "location" not in answer.headers
    assert (reads.proxy.connections, reads.upstash.requests) == (0, [])
