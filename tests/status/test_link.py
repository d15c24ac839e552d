import pytest

from lib.status.link import LONGEST, opens, sign

NOW = 1_800_000_000.0
END = int(NOW) + 600
GOOD = sign("/api/status", END, "admin")


def test_link_opens_its_page_by_any_of_the_tokens():
    assert opens("/api/status", str(END), GOOD, ("other", "admin"), NOW)


def test_signature_is_the_hmac_of_path_and_end():
    assert sign("/api/status", 1, "admin") == (
        "366f6095d02774463f799f02dc8b3e8f4ffeaa0c5f859e85790f27a87d169d14"
    )


@pytest.mark.parametrize(
    ("path", "expires", "signature", "tokens", "now"),
    [
        ("/api/metrics", str(END), GOOD, ("admin",), NOW),
        ("/api/status", str(END + 1), GOOD, ("admin",), NOW),
        ("/api/status", str(END), GOOD[:-1], ("admin",), NOW),
        ("/api/status", str(END), GOOD, ("other",), NOW),
        ("/api/status", str(END), GOOD, ("admin",), END),
        ("/api/status", str(END), GOOD, ("admin",), END - LONGEST - 1),
        ("/api/status", f" {END}", GOOD, ("admin",), NOW),
        ("/api/status", f"0{END}", "\u00e9", ("admin",), NOW),
        ("/api/status", "", "", ("admin",), NOW),
        ("/api/status", "\u0661", GOOD, ("admin",), NOW),
        ("/api/status", "9" * 5000, GOOD, ("admin",), NOW),
    ],
    ids=[
        *("another path", "another end", "a shorter signature", "another token", "over"),
        *("too far off", "a blank", "no ASCII", "nothing", "another digit", "a long number"),
    ],
)
def test_no_other_link_opens(
    path: str, expires: str, signature: str, tokens: tuple[str, ...], now: float
):
    assert not opens(path, expires, signature, tokens, now)
