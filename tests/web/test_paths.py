import itertools

import pytest

from tests.tally import Tally
from tests.web.conftest import FAILED, FUNCTIONS, PROCESS, SETTINGS, Services, client, signed

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]


def elsewhere(path: str) -> list[str]:
    return [
        "/",
        f"{path}/",
        f"/{path}",
        f"{path}//",
        f"{path}/x",
        f"{path}.py",
        path.upper(),
        path.replace("/api/", "//api/"),
        path.replace("/api/", "/api//"),
        path.replace("-", "%2D%2D"),
        "/api/actions",
        "/api/update/",
    ]


@pytest.mark.fault(26)
@pytest.mark.parametrize("path", FUNCTIONS)
async def test_other_paths_are_not_there_and_are_led_nowhere(services: Services, path: str):
    body = b"{}"
    async with client(path, services.environ | {"ALLOW_DEV_TRIGGER": "1"}) as http:
        for other, method in itertools.product(elsewhere(path), METHODS):
            answer = await http.request(method, other, content=body, headers=signed(path, body))
            assert answer.status_code == 404, (method, other)
            assert "location" not in answer.headers
    assert services.connections == 0


@pytest.mark.fault(26)
@pytest.mark.parametrize("path", FUNCTIONS)
async def test_other_methods_do_nothing(services: Services, path: str):
    body = b"{}"
    async with client(path, services.environ) as http:
        for method in [method for method in METHODS if method != "POST"]:
            answer = await http.request(method, path, content=body, headers=signed(path, body))
            hidden = path == PROCESS and method in {"GET", "HEAD"}
            assert answer.status_code == (404 if hidden else 405), method
    assert services.connections == 0


@pytest.mark.fault(26)
@pytest.mark.parametrize("allow", ["", "0", "1"])
@pytest.mark.parametrize("vercel", ["", "development", "preview", "production"])
async def test_get_works_in_development_alone_and_only_where_asked_for(
    services: Services, vercel: str, allow: str
):
    environ = services.environ | {"VERCEL_ENV": vercel, "ALLOW_DEV_TRIGGER": allow}
    async with client(PROCESS, environ) as http:
        answer = await http.get(PROCESS, params={"limit": "1"})
    if vercel in {"", "development"} and allow == "1":
        assert services.connections > 0
    else:
        assert (answer.status_code, answer.text) == (404, "Not Found")
        assert services.connections == 0


async def test_get_where_nobody_is_due_shows_nobody(services: Services, functions_url: str):
    environ = services.environ | {"ALLOW_DEV_TRIGGER": "1", "DATABASE_URL": functions_url}
    async with client(PROCESS, environ) as http:
        answer = await http.get(PROCESS)
    assert (answer.status_code, answer.json()) == (200, {"users": []})


async def test_get_of_a_database_that_is_down_is_unavailable():
    async with client(PROCESS, SETTINGS | {"ALLOW_DEV_TRIGGER": "1"}) as http:
        answer = await http.get(PROCESS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")


async def test_function_answers_for_its_own_path_alone(services: Services):
    for path, other in ((PROCESS, FAILED), (FAILED, PROCESS)):
        async with client(path, services.environ) as http:
            answer = await http.post(other, content=b"{}", headers=signed(other, b"{}"))
        assert answer.status_code == 404
    assert services.connections == 0


@pytest.mark.fault(26)
@pytest.mark.timeout(300)
async def test_ten_thousand_gets_of_a_deployment_open_no_connection(
    services: Services, tally: Tally
):
    tried = list(itertools.product(["GET", "HEAD"], [PROCESS, *elsewhere(PROCESS)]))
    for vercel, allow in itertools.product(["production", "preview"], ["", "1"]):
        environ = services.environ | {"VERCEL_ENV": vercel, "ALLOW_DEV_TRIGGER": allow}
        async with client(PROCESS, environ) as http:
            for method, path in itertools.islice(itertools.cycle(tried), 2500):
                answer = await http.request(method, path)
                assert answer.status_code == 404, (vercel, allow, method, path)
                tally.tried += 1
    assert services.connections == 0
