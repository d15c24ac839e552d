"""Where the platform's tables have other names, nothing is found wrong for that."""

import pytest

from lib.doctor.finding import State
from tests.doctor.conftest import Deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

ON_PLATFORMS = ["views"]


async def test_healthy_deployment_over_views_has_nothing_wrong(deployment: Deployment):
    found = await deployment.examined()
    assert {finding.state for finding in found.values()} == {State.OK}, found
