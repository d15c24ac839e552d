"""The routes as the platform's own backend calls them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx

from dev.demo.answers import Answer, Feed, Logged, Reason, Recommended, Similar, Why
from dev.demo.failure import Failure
from dev.stack import Stack

SECONDS = 20.0


class Client:
    """Asks with the stack's tokens; Failure if an answer does not come, or is not 200."""

    def __init__(self, http: httpx.AsyncClient, api_token: str, admin_token: str) -> None:
        self._http = http
        self._api, self._admin = api_token, admin_token

    async def log(self, actions: Sequence[Mapping[str, str]]) -> Logged:
        answer = await self._ask("POST", "/api/actions/log", {"actions": actions})
        return Logged(answer["stored"], answer["repeated"])

    async def recommendations(self, user: UUID, limit: int) -> Feed:
        answer = await self._ask("GET", f"/api/users/{user}/recommendations?limit={limit}")
        names = ("score", "similarity", "freshness", "popularity")
        posts = (
            Recommended(UUID(post["post_id"]), *(post[name] for name in names))
            for post in answer["posts"]
        )
        return Feed(UUID(answer["rec_id"]), tuple(posts))

    async def similar(self, user: UUID, limit: int) -> tuple[Similar, ...]:
        answer = await self._ask("GET", f"/api/users/{user}/similar?limit={limit}")
        return tuple(
            Similar(
                UUID(one["user_id"]),
                one["similarity"],
                one["shared"]["count"],
                tuple(map(UUID, one["shared"]["posts"])),
            )
            for one in answer["users"]
        )

    async def similarity(self, user: UUID, other: UUID) -> float:
        answer = await self._ask("GET", f"/api/users/{user}/similarity/{other}")
        if answer["similarity"] is None:
            raise Failure(f"expected {user} and {other} to be comparable: {answer['reason']}")
        return float(answer["similarity"])

    async def why(self, user: UUID) -> Why:
        answer = await self._ask("GET", f"/api/users/{user}/embedding?why=1")
        why = answer["why"]
        if why is None:
            raise Failure(f"expected reasons for the vector of {user}, got none")
        reasons = (
            Reason(UUID(one["post"]), one["share"], one["actions"]) for one in why["contributions"]
        )
        return Why(why["similarity"], why["posts"], tuple(reasons))

    async def erase(self, user: UUID) -> None:
        await self._ask("DELETE", f"/api/users/{user}/embedding", token=self._admin)

    async def embedding(self, user: UUID) -> Answer:
        """Ask for the vector, which may be none."""
        answer = await self._answer("GET", f"/api/users/{user}/embedding", self._api)
        return Answer(answer.status_code, answer.json().get("reason", ""))

    async def _ask(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> Any:
        answer = await self._answer(method, path, token or self._api, body)
        if answer.status_code != HTTPStatus.OK:
            raise Failure(f"expected 200 of {method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    async def _answer(
        self, method: str, path: str, token: str, body: object = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        try:
            return await self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Failure(f"expected an answer of {method} {path}: {error!r}") from error


@asynccontextmanager
async def connected(stack: Stack) -> AsyncIterator[Client]:
    """Yield a client of the functions that run."""
    async with httpx.AsyncClient(base_url=stack.app_url, timeout=SECONDS) as http:
        yield Client(http, stack.environ["API_TOKEN"], stack.environ["ADMIN_TOKEN"])
