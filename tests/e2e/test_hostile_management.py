"""The management API under schemathesis: everything its own description allows, and what it does not."""

import secrets
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from libs.common.errors import Code
from tests.running import RunningStack

EXAMPLES = 25
# A made-up database URL leads nowhere, and a window of time may be too wide: that is answered with one of these.
ELSEWHERE = {code.status for code in Code if code.status > 502}


def token_of_a_new_account(url: str) -> str:
    """A stranger's token: what the attack deletes is nobody else's."""
    account = {"email": f"{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe()}
    with httpx.Client(base_url=url) as browser:
        for path, status in (("/v1/accounts", 201), ("/v1/sessions", 201)):
            answer = browser.post(path, json=account, headers={"Origin": url})
            assert answer.status_code == status, answer.text
        answer = browser.post("/v1/tokens", json={"name": "attack"}, headers={"Origin": url})
        return str(answer.json()["token"])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_to_the_management_api_finds_a_defect(stack: RunningStack, mode: GenerationMode) -> None:
    url = stack.demo["url"]
    headers = {"Authorization": f"Bearer {token_of_a_new_account(url)}"}
    # Signing up and in is counted per address, and soon answers 429 alone.
    api = schemathesis.openapi.from_url(f"{url}/openapi.json").exclude(path_regex=r"^/v1/(accounts|sessions)")
    operations = [found.ok() for found in api.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 15

    def attack(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers=headers)
        if response.status_code in ELSEWHERE:
            assert response.json()["errorCode"] in Code.__members__
        else:
            case.validate_response(response, checks=[not_a_server_error])

    hostile = settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for operation in operations:
        hostile(given(operation.as_strategy(generation_mode=mode))(attack))()
