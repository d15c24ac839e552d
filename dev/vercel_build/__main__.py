"""Build the project with `vercel build`, check the result, and ask the built functions."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from dev.vercel_build.build import Build, build
from dev.vercel_build.check import Finding, check
from dev.vercel_build.serve import serve_bundle
from dev.vercel_build.tool import BuildFailed

ANSWER_SECONDS = 60.0
# All that the functions demand to start; nothing listens there.
SETTINGS = {
    "ADMIN_TOKEN": "admin",
    "API_TOKEN": "api",
    "APP_URL": "http://127.0.0.1:1",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "QSTASH_CURRENT_SIGNING_KEY": "sig_current",
    "QSTASH_NEXT_SIGNING_KEY": "sig_next",
    "QSTASH_TOKEN": "token",
    "QSTASH_URL": "http://127.0.0.1:1",
    "UPSTASH_REDIS_REST_TOKEN": "token",
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:1",
}


def main() -> int:
    """Print a line for each promise about a build; return 0 if all are kept, else 1."""
    try:
        with TemporaryDirectory(prefix="vercel-build-") as folder:
            made = build(Path(folder))
            kept = [_told(finding) for finding in check(made)]
            if all(kept):
                asyncio.run(_answers(made))
    except BuildFailed as failed:
        print(failed, *getattr(failed, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    return 0 if all(kept) else 1


async def _answers(build: Build) -> None:
    """Send each built function a message without a signature, which it must answer by itself."""
    async with serve_bundle(build, SETTINGS) as url, httpx.AsyncClient(base_url=url) as client:
        for bundle in build.bundles:
            response = await client.post(bundle.route, timeout=ANSWER_SECONDS)
            if "x-vercel-error" in response.headers or response.is_server_error:
                raise BuildFailed(
                    f"{bundle.route}: expected an answer of its own, got {response.status_code}"
                )
            _told(Finding(kept=True, text=f"{bundle.route}: answers from the bundle alone"))


def _told(finding: Finding) -> bool:
    print("ok    " if finding.kept else "FAILED", finding.text, flush=True)
    return finding.kept


if __name__ == "__main__":
    sys.exit(main())
