import httpx
import pytest
from qstash.errors import QStashError

from lib.errors import Unavailable
from lib.qstash.connection import (
    TOTAL_SECONDS,
    calling,
    connect,
    connect_async,
    disconnect,
    disconnect_async,
)


async def test_clients_wait_3_s_for_a_connection_and_10_s_for_an_answer():
    expected = httpx.Timeout(10.0, connect=3.0)
    client = connect("https://qstash.example", "token", TOTAL_SECONDS)
    other = connect_async("https://qstash.example", "token", TOTAL_SECONDS)
    assert client.http._client.timeout == expected  # noqa: SLF001  # waiting would take 3 s
    assert other.http._client.timeout == expected  # noqa: SLF001  # waiting would take 3 s
    disconnect(client)
    await disconnect_async(other)


def test_calling_shows_no_more_of_a_refusal_than_a_line():
    with pytest.raises(Unavailable) as raised, calling("secret", None, ""):
        raise QStashError("the secret is\n  'secret'" + " and more" * 1000)
    assert str(raised.value).startswith("qstash refused: the *** is '***' and more")
    assert len(str(raised.value)) < 350


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), KeyboardInterrupt()])
def test_calling_hides_no_other_error(error: BaseException):
    with pytest.raises(type(error)), calling():
        raise error
