"""The functions' host: the real `vercel-runtime` behind a stand-in for Vercel's edge."""

import asyncio
import base64
import os
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
import vercel_runtime
from hypothesis import given
from hypothesis import strategies as st
from vercel_runtime.deadline import get_deadline, reset_deadline, set_deadline

from dev.functions import Functions
from dev.functions.program import function_files, route_of
from dev.functions.wire import rfc3339
from dev.serve import serve

ROOT = Path(__file__).parents[2]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Answers with all it sees. The query says what else it does.
ECHO = """
import asyncio, base64, gzip, json, logging, os, sys
from datetime import UTC, datetime
from vercel_runtime import get_deadline

barrier = asyncio.Barrier(3)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        logging.info("lifespan ended")
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    wish = scope["query_string"].decode()
    if wish == "hang":
        logging.info("hanging")
        await asyncio.sleep(30)
    if wish == "exit":
        os._exit(3)
    if wish == "together":
        await barrier.wait()
    if wish == "talk":
        logging.warning("logged %d", 1)
        print("printed")
        print("complained", file=sys.stderr)
        os.write(1, b"written\\n")
    deadline = get_deadline()
    answer = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": wish,
        "headers": [[k.decode(), v.decode()] for k, v in scope["headers"]],
        "body": base64.b64encode(body).decode(),
        "pid": os.getpid(),
        "left": deadline and (deadline - datetime.now(UTC)).total_seconds(),
        "environ": dict(os.environ),
        "path_of_modules": sys.path,
    }
    headers = [(b"content-type", b"application/json")]
    headers += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    content = json.dumps(answer).encode()
    if wish == "packed":
        headers += [(b"content-encoding", b"gzip")]
        content = gzip.compress(content)
    await send({"type": "http.response.start", "status": 207, "headers": headers})
    await send({"type": "http.response.body", "body": content})
"""

PROJECT = {
    "api/__init__.py": "",
    "api/_private.py": ECHO,
    "api/.hidden/echo.py": ECHO,
    "api/actions/echo-twice.py": ECHO,
    "api/broken.py": "import no_such_module",
    "api/echo.py": ECHO,
    "api/notes.txt": "",
    "lib/echo.py": ECHO,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in PROJECT.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


@asynccontextmanager
async def answering(functions: Functions) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(functions.app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
            yield client
    finally:
        functions.kill()  # the grace of close() takes 0.1 s
        await functions.close()


@asynccontextmanager
async def served(functions: Functions) -> AsyncIterator[httpx.AsyncClient]:
    # Without https there is nothing to verify, and loading the certificates takes 0.1 s.
    unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        async with (
            serve(functions.app) as url,
            httpx.AsyncClient(base_url=url, verify=unused, timeout=20) as client,
        ):
            yield client
    finally:
        await functions.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what happens in another process sets no event
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_request_reaches_the_function_as_it_was_sent(project: Path) -> None:
    body = bytes(range(256))
    async with served(Functions(project, {})) as client:
        response = await client.put(
            "/api/echo?a=%2f&a=b+c", content=body, headers=[("x-tag", "one"), ("x-tag", "two")]
        )
    seen = response.json()
    assert (seen["method"], seen["path"], seen["query"]) == ("PUT", "/api/echo", "a=%2f&a=b+c")
    assert base64.b64decode(seen["body"]) == body
    assert [value for name, value in seen["headers"] if name == "x-tag"] == ["one", "two"]


async def test_answer_reaches_the_client_as_it_was_given(project: Path) -> None:
    async with served(Functions(project, {})) as client:
        response = await client.get("/api/echo?packed")
    assert response.status_code == 207
    assert response.json()["query"] == "packed"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers.get_list("content-type") == ["application/json"]
    assert len(response.headers.get_list("date")) == 1
    assert not [name for name in response.headers if name.startswith("x-vercel-internal-")]


async def test_headers_of_the_edge_cannot_be_forged(project: Path) -> None:
    forged = {
        "x-forwarded-for": "6.6.6.6",
        "x-real-ip": "6.6.6.6",
        "x-vercel-internal-deadline": "2099-01-01T00:00:00Z",
    }
    async with answering(Functions(project, {}, max_duration=60)) as client:
        seen = (await client.get("/api/echo", headers=forged)).json()
    headers = dict(seen["headers"])
    assert (headers["x-forwarded-for"], headers["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
    assert (headers["host"], headers["x-forwarded-host"]) == ("edge", "edge")
    assert len(headers) == len(seen["headers"])
    assert not [name for name in headers if name.startswith("x-vercel-internal-")]
    assert 55 < seen["left"] <= 60


async def test_process_stays_warm(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        assert functions.pid("/api/echo") is None
        pids = {(await client.get("/api/echo")).json()["pid"] for _ in range(3)}
        assert pids == {functions.pid("/api/echo")}
        assert functions.starts == 1


async def test_requests_at_once_share_one_process(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        # Each waits in the function until all three are there.
        answers = await asyncio.gather(*(client.get("/api/echo?together") for _ in range(3)))
    assert len({answer.json()["pid"] for answer in answers}) == 1
    assert functions.starts == 1


async def test_killed_process_is_replaced_at_the_next_request(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        first = (await client.get("/api/echo")).json()["pid"]
        functions.kill()
        assert gone(first)
        assert functions.pid("/api/echo") is None
        second = (await client.get("/api/echo")).json()["pid"]
        os.kill(second, signal.SIGKILL)
        await until(lambda: functions.pid("/api/echo") is None)
        third = (await client.get("/api/echo")).json()["pid"]
    assert len({first, second, third}) == functions.starts == 3


async def test_kill_of_one_route_spares_the_others(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        await asyncio.gather(client.get("/api/echo"), client.get("/api/actions/echo-twice"))
        spared = functions.pid("/api/actions/echo-twice")
        functions.kill("/api/echo")
        assert functions.pid("/api/echo") is None
        assert functions.pid("/api/actions/echo-twice") == spared is not None


async def test_request_in_flight_when_killed_gets_502(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        request = asyncio.create_task(client.get("/api/echo?hang"))
        await until(lambda: "hanging" in functions.logs)
        functions.kill("/api/echo")
        response = await request
        assert response.status_code == 502
        assert "FUNCTION_INVOCATION_FAILED" in response.text
        assert (await client.get("/api/echo")).status_code == 207


async def test_request_that_ends_the_process_gets_502(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        assert (await client.get("/api/echo?exit")).status_code == 502
        assert (await client.get("/api/echo")).status_code == 207
        assert functions.starts == 2


async def test_function_without_an_answer_in_time_is_killed(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        pid = (await client.get("/api/echo")).json()["pid"]
        functions.max_duration = 0.5
        response = await client.get("/api/echo?hang")
        functions.max_duration = 60.0
        assert response.status_code == 504
        assert "FUNCTION_INVOCATION_TIMEOUT" in response.text
        assert gone(pid)
        assert (await client.get("/api/echo")).status_code == 207


async def test_function_that_does_not_start_gives_500_and_says_why(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        response = await client.get("/api/broken")
        assert response.status_code == 500
        assert "FUNCTION_INVOCATION_FAILED" in response.text
        assert any("No module named 'no_such_module'" in line for line in functions.logs)
        (project / "api/broken.py").write_text(ECHO)
        assert (await client.get("/api/broken")).status_code == 207


async def test_process_killed_while_it_starts_gives_500(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        request = asyncio.create_task(client.get("/api/echo"))
        await until(lambda: functions.pid("/api/echo") is not None)
        functions.kill()
        assert (await request).status_code == 500


async def test_only_the_given_environment_is_visible(project: Path) -> None:
    environ = {"EMPTY": ""}
    async with answering(Functions(project, environ)) as client:
        environ["GIVEN"] = "yes"  # it counts when the process starts
        seen = (await client.get("/api/echo")).json()["environ"]
    of_the_runtime = {name for name in seen if name.startswith(("__VC_", "VERCEL_IPC_"))}
    # LC_CTYPE is what Python itself sets where no locale is given (PEP 538).
    assert seen.keys() - of_the_runtime - {"LC_CTYPE"} == {"GIVEN", "EMPTY", "PATH"}
    assert (seen["GIVEN"], seen["EMPTY"]) == ("yes", "")


async def test_project_root_comes_first_among_the_modules(project: Path) -> None:
    async with answering(Functions(project, {})) as client:
        seen = (await client.get("/api/actions/echo-twice")).json()
    assert seen["path"] == "/api/actions/echo-twice"
    assert seen["path_of_modules"][0] == str(project)


async def test_logs_hold_what_a_function_says_in_any_way(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        await client.get("/api/echo?talk")
        assert {"logged 1", "printed", "complained", "written"} <= set(functions.logs)


async def test_unknown_path_gives_404_and_starts_nothing(project: Path) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        for path in ("/", "/api", "/api/nothing", "/api/_private", "/api/notes.txt", "/lib/echo"):
            response = await client.get(path)
            assert response.status_code == 404, path
            assert "NOT_FOUND" in response.text
    assert functions.starts == 0


async def test_only_the_named_functions_are_served(project: Path) -> None:
    functions = Functions(project, {}, functions=("api/actions/echo-twice.py",))
    async with answering(functions) as client:
        assert (await client.get("/api/echo")).status_code == 404
        assert (await client.get("/api/actions/echo-twice")).status_code == 207


@pytest.mark.parametrize("missing", [{"functions": ("api/no.py",)}, {"bundles": ("api/no",)}])
def test_function_that_is_not_there_is_refused_at_once(
    project: Path, missing: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a function at .*api/no"):
        Functions(project, {}, **missing)


@pytest.mark.parametrize(("size", "status"), [(4_500_000, 207), (4_500_001, 413)])
async def test_body_is_accepted_up_to_the_limit(project: Path, size: int, status: int) -> None:
    functions = Functions(project, {})
    async with answering(functions) as client:
        response = await client.post("/api/echo", content=bytes(size))
        assert response.status_code == status
        assert functions.starts == (status == 207)


async def test_close_lets_the_function_end_and_leaves_no_process(project: Path) -> None:
    functions = Functions(project, {})
    async with served(functions) as client:
        pid = (await client.get("/api/echo")).json()["pid"]
    assert gone(pid)
    assert "lifespan ended" in functions.logs


async def test_bundle_runs_under_its_own_launcher_and_modules(tmp_path: Path) -> None:
    bundle = tmp_path / "bundles/api/echo"
    shutil.copytree(Path(vercel_runtime.__file__).parent, bundle / "_vendor/vercel_runtime")
    (bundle / "app.py").write_text(ECHO)
    (bundle / "vc__handler__python.py").write_text(
        "import os, sys\n"
        "sys.path.insert(1, os.path.abspath('_vendor'))\n"
        "os.environ |= {'__VC_HANDLER_MODULE_NAME': 'app', '__VC_HANDLER_ENTRYPOINT': 'app.py',\n"
        "  '__VC_HANDLER_ENTRYPOINT_ABS': os.path.abspath('app.py'),\n"
        "  '__VC_HANDLER_VARIABLE_NAME': 'app'}\n"
        "from vercel_runtime.vc_init import vc_handler\n"
    )
    functions = Functions(tmp_path / "bundles", {}, bundles=("api/echo",))
    async with answering(functions) as client:
        response = await client.get("/api/echo")
        assert response.status_code == 207, functions.logs
    modules = response.json()["path_of_modules"]
    assert not [path for path in modules if "site-packages" in path]
    assert modules[0] == str(bundle)
    assert str(ROOT) not in modules


@pytest.mark.parametrize(
    ("file", "route"),
    [
        ("api/actions/batch-process.py", "/api/actions/batch-process"),
        ("api/users.py", "/api/users"),
        ("api/v1.2/users.py", "/api/v1.2/users"),
        ("api/users/index.py", "/api/users"),
        ("api/index.py", "/api"),
    ],
)
def test_route_of_a_file_is_its_path_without_suffix(file: str, route: str) -> None:
    assert route_of(file) == route


def test_functions_are_the_visible_python_files_below_api(project: Path) -> None:
    assert function_files(project) == ("api/actions/echo-twice.py", "api/broken.py", "api/echo.py")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 23, 21, 30, tzinfo=UTC), "2026-11-23T21:30:00.000Z"),
        (datetime(2026, 11, 23, 21, 30, 0, 999_999, UTC), "2026-11-23T21:30:00.999Z"),
        (
            datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))),
            "2025-12-31T23:00:00.000Z",
        ),
    ],
    ids=["whole second", "cut to milliseconds", "other zone"],
)
def test_rfc3339_is_utc_to_the_millisecond(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text


@given(st.integers(0, 253_402_300_799_999).map(lambda ms: EPOCH + timedelta(milliseconds=ms)))
def test_runtime_reads_the_deadline_it_is_given(moment: datetime) -> None:
    token = set_deadline(rfc3339(moment))
    try:
        read = get_deadline()
    finally:
        reset_deadline(token)
    assert read == moment
