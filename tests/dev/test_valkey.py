import os
import socket

import pytest

from dev.upstash.resp import ReplyError, execute
from dev.valkey import Valkey


async def test_valkey_answers_on_its_socket_as_it_says_it():
    with Valkey() as valkey:
        assert await execute(
            valkey.address,
            [
                ["PING"],
                ["SET", "key", "värde\r\n"],
                ["GET", "key"],
                ["GET", "missing"],
                ["INCR", "key"],
                ["NONSENSE"],
                ["EVAL", "return {1, {'two', false}}", "0"],
            ],
        ) == [
            b"PONG",
            b"OK",
            "värde\r\n".encode(),
            None,
            ReplyError("ERR value is not an integer or out of range"),
            ReplyError("ERR unknown command 'NONSENSE', with args beginning with: "),
            [1, [b"two", None]],
        ]


async def test_valkey_stopped_and_started_again_has_its_data_on_the_same_address():
    with Valkey() as valkey:
        address = valkey.address
        await execute(address, [["SET", "key", "value", "EX", "1000"]])

        valkey.stop()
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            await execute(address, [["PING"]])

        valkey.start()
        value, left = await execute(valkey.address, [["GET", "key"], ["TTL", "key"]])
        assert valkey.address == address
        assert value == b"value"
        assert isinstance(left, int)
        assert 990 <= left <= 1000


async def test_valkeys_live_side_by_side_and_leave_nothing():
    with Valkey() as one, Valkey() as two:
        await execute(one.address, [["SET", "key", "one"]])
        assert await execute(two.address, [["GET", "key"]]) == [None]
        [info] = await execute(two.address, [["INFO", "server"]])
        assert isinstance(info, bytes)
        pid = int(info.split(b"process_id:")[1].split()[0])

    assert not one.address.parent.exists()
    assert not two.address.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_valkey_that_is_stopped_can_be_left():
    with Valkey() as valkey:
        valkey.stop()
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(FileNotFoundError):
        probe.connect(str(valkey.address))
