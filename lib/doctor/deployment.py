"""The deployment over HTTP: whether our function answers, and takes QStash's word."""

import time
import uuid

import httpx

from lib.doctor.finding import Verdict, ok, wrong
from lib.doctor.patient import Patient
from lib.errors import Unavailable
from lib.qstash.delivery import BYPASS, destination, failure_callback
from lib.qstash.signature import sign
from lib.settings import Environ, SigningKeys, app_url, table

SECONDS = 30.0
"""A function that has not been asked for a while takes some seconds to start."""

STRANGER = (401, {"error": "unauthorized"})
NONSENSE = b"[]"
MALFORMED = 489
NOT_FOUND = 404


async def function(patient: Patient) -> Verdict:
    """Knock without a signature: our functions refuse in words that nobody else uses."""
    base = app_url(patient.environ)
    for url in (destination(base), failure_callback(base)):
        answer = await _post(patient.environ, url, {})
        if (answer.status_code, _json(answer)) == STRANGER:
            continue
        if answer.status_code == NOT_FOUND:
            return wrong(
                f"{url} is not there (404)",
                "set APP_URL to this project's domain; vercel deploy --prod",
            )
        if answer.status_code in {401, 403} or answer.is_redirect:
            return wrong(
                f"{url} is kept closed by Vercel ({answer.status_code})",
                "turn on Protection Bypass for Automation at Vercel (Settings, Deployment"
                " Protection), set VERCEL_AUTOMATION_BYPASS_SECRET here, then: python schedule.py",
            )
        return wrong(
            f"{url} answers {answer.status_code}, and not as our function does",
            "vercel logs: a wrong setting is one line there",
        )
    return ok(f"answers at {base}")


async def signature(patient: Patient) -> Verdict:
    """Send a signed message that can never work: whoever trusts our keys says so."""
    url, key = destination(app_url(patient.environ)), SigningKeys.load(patient.environ).current
    token = sign(NONSENSE, url, key, time.time(), f"jwt_{uuid.uuid4().hex}")
    answer = await _post(patient.environ, url, {"Upstash-Signature": token})
    if answer.status_code == MALFORMED:
        return ok("the deployment takes what these keys sign for this URL")
    return wrong(
        f"the deployment answers {answer.status_code} to a message signed with these keys",
        "its signing keys or its APP_URL are others than here: set them, then redeploy",
    )


async def _post(environ: Environ, url: str, headers: dict[str, str]) -> httpx.Response:
    bypass = table.BYPASS_SECRET.load(environ)
    headers = {"Content-Type": "application/json"} | headers | ({BYPASS: bypass} if bypass else {})
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            return await http.post(url, content=NONSENSE, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # its text may quote a header
        raise Unavailable(f"{url} is out of reach: {type(error).__name__}") from None


def _json(answer: httpx.Response) -> object:
    try:
        return answer.json()
    except ValueError:
        return None
