"""Requests of every kind, made from the API's own description: none is a fault of the service."""

import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.core.errors import SerializationNotPossible
from starlette.testclient import TestClient

from service.api.app import create_app
from service.api.problems import PROBLEM_TYPE
from service.settings import Settings


def test_no_request_is_a_fault(tmp_path):
    app = create_app(Settings(home=tmp_path, requests_per_minute=1_000_000, allowed_hosts=("*",)))
    with TestClient(app) as client:
        access = app.state.backend.store.access
        project = client.portal.call(access.ensure_project, "default")
        secret = client.portal.call(access.create_key, project.id, "any", ("read", "write", "admin")).secret
        headers = {"Authorization": f"Bearer {secret}"}
        # Without the routes that would take away the key.
        described = schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path_regex="/v1/keys")
        operations = [found.ok() for found in described.get_all_operations()]
        assert len(operations) > 35
        for operation in operations:
            _try(operation, client, headers)


def _try(operation, client: TestClient, headers: dict[str, str]) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def no_fault(case):
        try:
            answer = case.call(session=client, headers=headers)
        except SerializationNotPossible:
            assume(False)
        assert answer.status_code not in (401, 500), answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == [PROBLEM_TYPE]

    no_fault()
