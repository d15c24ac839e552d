"""SQL in messages that are signed, and in the settings of the functions that take them."""

import json

import pytest

from lib.errors import SettingError
from lib.settings.table import VARIABLES
from tests.faults.test_injection import PAYLOADS
from tests.tally import Tally
from tests.web.conftest import FAILED, FUNCTIONS, PROCESS, SETTINGS, Services, client, signed
from tests.web.test_door import RUN, reported

pytestmark = pytest.mark.fault(24)

NOT_READ = {PROCESS: set(), FAILED: {"UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"}}
"""Of the settings that a signed function is started with."""
SPOILT = ["", "two words", "line\n", "\u00e9", *(p for p in PAYLOADS if " " in p)]
ANY_WORD = {"MODEL_VERSION", *(v.name for v in VARIABLES if v.secret)}
"""What may be any text without spaces."""
OF_READS = {"IMPRESSION_SHARE", "EXPLORE_SHARE"}
RULED = [v.name for v in VARIABLES if v.name not in ANY_WORD | OF_READS]


def messages(text: str) -> list[bytes]:
    """Return a message for each place in which one could carry a text."""
    page = {"run": RUN, "page": 0}
    changed = [page | {name: text} for name in (*page, "job", text)]
    return [json.dumps(fields).encode() for fields in (*changed, {text: text}, [text], text)]


def reports(text: str) -> list[bytes]:
    """Return a failure report for each, and for what else it says."""
    whole = json.loads(reported(b"{}"))
    changed = [json.dumps(whole | {name: text}).encode() for name in whole]
    return [*map(reported, messages(text)), reported(text.encode()), *changed]


@pytest.mark.parametrize("path", FUNCTIONS)
async def test_signed_message_that_carries_sql_is_malformed_and_nothing_is_opened(
    services: Services, tally: Tally, path: str
):
    async with client(path, services.environ) as http:
        for text in PAYLOADS:
            for body in messages(text) if path == PROCESS else reports(text):
                answer = await http.post(path, content=body, headers=signed(path, body))
                assert answer.status_code == 489, body
                tally.tried += 1
    assert services.connections == 0


@pytest.mark.parametrize("path", FUNCTIONS)
@pytest.mark.parametrize("name", SETTINGS)
def test_signed_function_does_not_start_by_a_setting_that_it_needs_and_cannot_read(
    tally: Tally, path: str, name: str
):
    for text in SPOILT:
        environ = SETTINGS | {name: text}
        if name in NOT_READ[path] or (name, text) == ("QSTASH_URL", ""):
            assert FUNCTIONS[path](environ)
            continue
        with pytest.raises(SettingError, match=rf"\A{name} (must be|is missing: it must be) "):
            FUNCTIONS[path](environ)
        tally.tried += 1


@pytest.mark.parametrize("name", RULED)
def test_sql_in_a_setting_of_the_batch_is_refused(tally: Tally, name: str):
    for text in (text for text in PAYLOADS if not text.isalnum()):
        with pytest.raises(SettingError, match=rf"\A{name}"):
            FUNCTIONS[PROCESS](SETTINGS | {name: text})
        tally.tried += 1
