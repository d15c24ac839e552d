"""A link to the status page, for somebody without a token."""

import sys
import time

from lib.settings import Environ, Tokens, app_url
from lib.status.link import LONGEST, PAGES, ending, sign


def link(environ: Environ) -> int:
    """Print a link to the status page, and those below it, that is good for an hour."""
    expires = int(time.time()) + LONGEST
    signature = sign(PAGES, expires, Tokens.load(environ).admin[0])
    end = ending({"expires": str(expires), "signature": signature})
    print(f"{app_url(environ)}{PAGES}{end}")
    print(f"the link is good for {LONGEST // 60} minutes", file=sys.stderr)
    return 0
