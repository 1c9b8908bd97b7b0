"""Who is let in, and to what: every route, every role, and nobody."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_examples import job_document
from api_service import Service, serving
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

import api.routes
from api.app import create_app
from api.rates import Rates
from api.settings import Settings
from nas.errors import QuotaExceeded
from nas.store.keys import Role

OPEN = {
    ("GET", "/"),
    ("GET", "/new"),
    ("GET", "/compare"),
    ("GET", "/devices"),
    ("GET", "/devices/{name}"),
    ("GET", "/jobs/{job_id}"),
    ("GET", "/docs"),
    ("GET", "/docs/start.js"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/v1/session"),  # says 401 by itself to who has no key
    ("DELETE", "/v1/session"),
}
READ = {
    ("GET", "/metrics"),
    ("GET", "/v1/session"),
    ("POST", "/v1/score"),
    ("POST", "/v1/check"),
    ("GET", "/v1/samplers"),
    ("GET", "/v1/compare/jobs"),
    ("GET", "/v1/compare/trials"),
    ("GET", "/v1/search-spaces"),
    ("GET", "/v1/search-spaces/{name}"),
    ("GET", "/v1/devices"),
    ("GET", "/v1/devices/{name}"),
    ("GET", "/v1/devices/{name}/latency-tables"),
    ("GET", "/v1/devices/{name}/latency-tables/{version}"),
    ("GET", "/v1/devices/{name}/latency-tables/{version}/report"),
    ("GET", "/v1/datasets"),
    ("GET", "/v1/datasets/{name}"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/{job_id}"),
    ("GET", "/v1/jobs/{job_id}/events"),
    ("GET", "/v1/jobs/{job_id}/front"),
    ("GET", "/v1/jobs/{job_id}/front/reading"),
    ("GET", "/v1/jobs/{job_id}/front/picks"),
    ("GET", "/v1/jobs/{job_id}/hypervolume"),
    ("GET", "/v1/jobs/{job_id}/importance"),
    ("GET", "/v1/jobs/{job_id}/fidelity"),
    ("GET", "/v1/jobs/{job_id}/devices"),
    ("GET", "/v1/jobs/{job_id}/trials"),
    ("GET", "/v1/jobs/{job_id}/trials/columns"),
    ("GET", "/v1/jobs/{job_id}/trials/{number}"),
    ("GET", "/v1/jobs/{job_id}/trials/{number}/config"),
    ("GET", "/v1/jobs/{job_id}/trials/{number}/weights"),
    ("GET", "/v1/jobs/{job_id}/trials/{number}/bundle"),
}
SUBMIT = {
    ("POST", "/v1/search-spaces"),
    ("POST", "/v1/devices"),
    ("POST", "/v1/devices/{name}/latency-tables"),
    ("POST", "/v1/datasets"),
    ("POST", "/v1/jobs"),
    ("PATCH", "/v1/jobs/{job_id}"),
    ("DELETE", "/v1/jobs/{job_id}"),
    *(("POST", f"/v1/jobs/{{job_id}}/{what}") for what in ("cancel", "pause", "resume", "retry", "finish")),
}
ADMIN = {
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/{key_id}"),
    ("GET", "/v1/audit"),
}
LEAST_ROLE = (
    dict.fromkeys(OPEN, None)
    | dict.fromkeys(READ, Role.READ)
    | dict.fromkeys(SUBMIT, Role.SUBMIT)
    | dict.fromkeys(ADMIN, Role.ADMIN)
)


class Guarded:
    """A service that asks for keys, and a key of each role."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.keys, self.secrets = {}, {}
        for role in Role:
            self.keys[role], self.secrets[role] = service.store.add_key(f"a key to {role}", role, "the test")

    def call(self, method: str, path: str, role: Role | None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.secrets[role]}"} if role else {}
        return self.service.client.request(method, path, headers=headers | more.pop("headers", {}), **more)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    database = tmp_path_factory.mktemp("guarded") / "pocketformer.db"
    with serving(database, require_keys=True, admin_key="0123456789abcdef" * 2) as service:
        yield Guarded(service)


def test_the_table_has_every_route() -> None:
    modules = [
        importlib.import_module(f"api.routes.{found.name}") for found in pkgutil.iter_modules(api.routes.__path__)
    ]
    routes = [route for module in modules for route in module.router.routes if isinstance(route, APIRoute)]
    assert {(method, route.path) for route in routes for method in route.methods} == set(LEAST_ROLE)
    # Beside these the app has the description of the API, and the pages' files
    app = create_app(Settings.load(database_url="sqlite:///never-opened.db"))
    assert {route.path for route in app.routes if isinstance(route, Route)} == {"/openapi.json"}
    assert all(route.path.startswith("/static/") for route in app.routes if isinstance(route, Mount))


@pytest.mark.parametrize(("method", "path"), sorted(LEAST_ROLE))
@pytest.mark.parametrize("role", [None, *Role])
def test_each_role_is_let_in_where_it_may_and_nowhere_else(
    guarded: Guarded, method: str, path: str, role: Role | None
) -> None:
    # Names that nothing has: who is let in meets 404 or 422 behind the guard, and nothing changes
    there = path.format(job_id="j-none", name="none", version=1, number=0, key_id="k-none")
    answer = guarded.call(method, there, role)
    least = LEAST_ROLE[method, path]
    if least is None:
        assert answer.status_code not in (401, 403), answer.text
    elif role is None:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "urn:pocketformer:problem:unauthenticated"
    elif role.includes(least):
        assert answer.status_code not in (401, 403), answer.text
        assert answer.status_code < 500
    else:
        assert answer.status_code == 403
        assert f"role {least}" in answer.json()["detail"]


@pytest.mark.parametrize("shown", ["", "Bearer", "Basic YTpi", "Bearer pf_invented", "Bearer \xff", "pf_x"])
def test_what_is_no_key_opens_nothing(guarded: Guarded, shown: str) -> None:
    answer = guarded.service.client.get("/v1/jobs", headers={"Authorization": shown.encode("latin-1")})
    assert answer.status_code == 401


def test_a_key_is_refused_from_the_moment_that_it_is_revoked(guarded: Guarded) -> None:
    made = guarded.call("POST", "/v1/keys", Role.ADMIN, json={"name": "short-lived", "role": "submit"})
    assert made.status_code == 201
    key = made.json()
    own = {"Authorization": f"Bearer {key['secret']}"}
    assert guarded.service.client.get("/v1/jobs", headers=own).status_code == 200
    revoked = guarded.call("DELETE", f"/v1/keys/{key['id']}", Role.ADMIN)
    assert (revoked.status_code, revoked.json()["revoked_at"] is not None) == (200, True)
    assert guarded.service.client.get("/v1/jobs", headers=own).status_code == 401


def test_nobody_revokes_the_key_that_they_call_with(guarded: Guarded) -> None:
    made = guarded.call("POST", "/v1/keys", Role.ADMIN, json={"name": "another admin", "role": "admin"}).json()
    own = {"Authorization": f"Bearer {made['secret']}"}
    refused = guarded.service.client.delete(f"/v1/keys/{made['id']}", headers=own)
    assert refused.status_code == 409
    assert "the key that you call with" in refused.json()["detail"]
    assert guarded.service.client.get("/v1/keys", headers=own).status_code == 200
    assert guarded.call("DELETE", f"/v1/keys/{made['id']}", Role.ADMIN).status_code == 200


def test_a_secret_is_told_once_and_kept_nowhere(guarded: Guarded) -> None:
    secret = guarded.call("POST", "/v1/keys", Role.ADMIN, json={"name": "told once", "role": "read"}).json()["secret"]
    assert secret not in guarded.call("GET", "/v1/keys", Role.ADMIN).text
    assert secret not in guarded.call("GET", "/v1/audit", Role.ADMIN).text
    for file in guarded.service.database.parent.iterdir():  # the write-ahead log among them
        assert secret.encode() not in file.read_bytes()


def test_a_wrong_request_for_a_key_is_refused_by_field(guarded: Guarded) -> None:
    answer = guarded.call("POST", "/v1/keys", Role.ADMIN, json={"name": "", "role": "owner", "max_open_jobs": -1})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"name", "role", "max_open_jobs"}


def test_the_key_of_the_settings_is_an_administrators(guarded: Guarded) -> None:
    headers = {"Authorization": "Bearer " + "0123456789abcdef" * 2}
    told = guarded.service.client.get("/v1/session", headers=headers).json()
    assert (told["role"], told["name"], told["asks_for_keys"]) == ("admin", "POCKETFORMER_ADMIN_KEY", True)


# Jobs and files --------------------------------------------------------------------------------------------


def test_a_job_is_changed_by_whose_it_is_and_by_administrators(guarded: Guarded) -> None:
    job = guarded.call("POST", "/v1/jobs", Role.SUBMIT, json=job_document()).json()
    assert job["submitted_by"] == guarded.keys[Role.SUBMIT].id
    path = job["links"]["self"]
    _, secret = guarded.service.store.add_key("another", Role.SUBMIT, "the test")
    other = {"Authorization": f"Bearer {secret}"}
    client = guarded.service.client
    assert client.get(path, headers=other).status_code == 200
    for what in ("pause", "resume", "cancel", "retry"):
        assert client.post(f"{path}/{what}", headers=other).status_code == 403
    assert client.post(f"{path}/finish", headers=other, json={}).status_code == 403
    assert client.patch(path, headers=other, json={"priority": 5}).status_code == 403
    assert client.delete(path, headers=other).status_code == 403
    assert guarded.call("POST", f"{path}/pause", Role.SUBMIT).json()["state"] == "paused"
    assert guarded.call("POST", f"{path}/cancel", Role.ADMIN).json()["state"] == "cancelled"


def test_an_idempotency_key_is_its_callers_own(guarded: Guarded) -> None:
    again = {"headers": {"Idempotency-Key": "the same"}}
    first, second = (
        guarded.call("POST", "/v1/jobs", role, json=job_document(name=f"by {role}"), **again)
        for role in (Role.SUBMIT, Role.ADMIN)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    repeated = guarded.call("POST", "/v1/jobs", Role.SUBMIT, json=job_document(name=f"by {Role.SUBMIT}"), **again)
    assert (repeated.status_code, repeated.json()["id"]) == (200, first.json()["id"])


def test_only_administrators_submit_jobs_that_bring_code(guarded: Guarded) -> None:
    task = job_document()["task"] | {"evaluator": {"function": "a.b:c", "metrics": {}}}
    refused = guarded.call("POST", "/v1/jobs", Role.SUBMIT, json=job_document(task=task))
    assert refused.status_code == 403
    assert "administrators" in refused.json()["detail"]
    assert guarded.call("POST", "/v1/jobs", Role.ADMIN, json=job_document(task=task)).status_code == 422


def test_quotas_are_kept_under_concurrent_requests(guarded: Guarded) -> None:
    key, secret = guarded.service.store.add_key("small", Role.SUBMIT, "the test", max_open_jobs=3, max_storage_bytes=50)
    own = {"Authorization": f"Bearer {secret}"}
    answers: list[int] = []

    def submit() -> None:
        answers.append(httpx.post(f"{guarded.service.url}/v1/jobs", json=job_document(), headers=own).status_code)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201] * 3 + [429] * 5
    brought = guarded.service.client.post(
        "/v1/datasets", params={"name": "large.txt"}, headers=own, content=b"a line of text\n" * 10
    )
    assert (brought.status_code, brought.json()["type"]) == (429, "urn:pocketformer:problem:quota-exceeded")
    mine = [job for job in guarded.service.store.jobs()[0] if job.submitted_by == key.id]
    assert len(mine) == 3


def test_who_calls_too_often_is_told_how_long_to_wait() -> None:
    now = 0.0
    rates = Rates(lambda: now)
    for _ in range(60):
        rates.take("k-1", 60)
    with pytest.raises(QuotaExceeded, match=r"60 requests a minute: wait 1\.0 s") as refused:
        rates.take("k-1", 60)
    assert refused.value.retry_after_s == 1
    rates.take("k-2", 60)
    now = 1.0
    rates.take("k-1", 60)
    with pytest.raises(QuotaExceeded):
        rates.take("k-1", 60)
    for _ in range(1000):
        rates.take("k-1", 0)  # no limit


def test_an_answer_to_who_calls_too_often_says_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path / "x.db", requests_per_minute=2) as service:
        _, secret = service.store.add_key("eager", Role.READ, "the test")
        own = {"Authorization": f"Bearer {secret}"}
        answers = [service.client.get("/v1/jobs", headers=own) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 30
        assert service.client.get("/v1/jobs").status_code == 200  # others are not held up


# The page ----------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(guarded: Guarded) -> Iterator[httpx.Client]:
    """A client that keeps cookies, signed in with a key to submit."""
    with httpx.Client(base_url=guarded.service.url, trust_env=False) as client:
        answer = client.post("/v1/session", json={"api_key": guarded.secrets[Role.SUBMIT]})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
        yield client


def test_a_cookie_lets_in_and_signing_out_takes_it_back(browser: httpx.Client) -> None:
    assert browser.get("/v1/session").json()["role"] == "submit"
    assert browser.get("/v1/jobs").status_code == 200
    assert browser.delete("/v1/session").status_code == 204
    assert browser.get("/v1/jobs").status_code == 401


ELSEWHERE = ("null", "https://evil.example", "http://127.0.0.1:9")


@pytest.mark.parametrize("origin", [None, *ELSEWHERE])
def test_another_page_can_not_act_with_the_cookie(browser: httpx.Client, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    refused = browser.post("/v1/jobs", json=job_document(), headers=headers)
    assert refused.status_code == 403
    assert "another site" in refused.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [*({"Origin": origin} for origin in ELSEWHERE), {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_another_page_can_not_act_where_nobody_has_to_log_in(service: Service, headers: dict[str, str]) -> None:
    before = service.rows()
    brought = service.client.post("/v1/datasets", params={"name": "a.txt"}, content=b"mine now\n", headers=headers)
    assert brought.status_code == 403
    assert service.client.post("/v1/jobs", json=job_document(), headers=headers).status_code == 403
    assert service.rows() == before
    assert service.client.get("/v1/jobs", headers=headers).status_code == 200


def test_the_services_own_page_can_where_nobody_has_to_log_in(service: Service) -> None:
    headers = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    assert service.client.post("/v1/jobs", json=job_document(), headers=headers).status_code == 201


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"])
def test_who_comes_through_a_proxy_needs_a_key(service: Service, header: str) -> None:
    assert service.client.get("/v1/jobs", headers={header: "203.0.113.5"}).status_code == 401


def test_the_cookie_of_another_service_of_this_host_locks_nobody_out(service: Service) -> None:
    port = service.url.rsplit(":", 1)[1]
    cookies = f"pocketformer_key_1=theirs; pocketformer_key_{port}=of another database"
    assert service.client.get("/v1/session", headers={"Cookie": cookies}).json()["name"] == "local"


def test_the_services_own_page_can(browser: httpx.Client, guarded: Guarded) -> None:
    headers = {"Origin": guarded.service.url}
    assert browser.post("/v1/jobs", json=job_document(), headers=headers).status_code == 201


def test_a_key_that_opens_nothing_does_not_sign_in(guarded: Guarded) -> None:
    for body, status in (({"api_key": "pf_invented"}, 401), ({"api_key": ""}, 422), ({}, 422)):
        answer = guarded.service.client.post("/v1/session", json=body)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers


# The log ---------------------------------------------------------------------------------------------------


def test_what_changes_something_or_was_refused_to_a_key_is_in_the_log_and_nothing_else(guarded: Guarded) -> None:
    before = guarded.service.store.audit_entries(limit=1)[0].sequence
    job = guarded.call("POST", "/v1/jobs", Role.SUBMIT, json=job_document()).json()
    guarded.call("GET", job["links"]["self"], Role.READ)
    refused = guarded.call("POST", f"{job['links']['self']}/cancel", Role.READ)
    guarded.call("POST", "/v1/jobs", Role.SUBMIT, json={})  # invalid: nothing has changed
    guarded.call("GET", "/v1/jobs", None)
    guarded.call("DELETE", "/v1/keys/k-none", Role.SUBMIT)
    guarded.service.client.get("/v1/jobs", headers={"Authorization": "Bearer pf_invented"})
    page = guarded.call("GET", "/v1/audit", Role.ADMIN).json()
    new = [entry for entry in page["entries"] if entry["sequence"] > before][::-1]
    assert [(e["who"], e["action"], e["path"], e["status"]) for e in new] == [
        ("a key to submit", "POST /v1/jobs", "/v1/jobs", 201),
        ("a key to read", "POST /v1/jobs/{job_id}/cancel", f"{job['links']['self']}/cancel", 403),
        ("a key to submit", "DELETE /v1/keys/{key_id}", "/v1/keys/k-none", 403),
    ]
    assert new[1]["request_id"] == refused.headers["x-request-id"]
    assert {entry["client"] for entry in new} == {"127.0.0.1"}
    assert new[0]["key_id"] == guarded.keys[Role.SUBMIT].id


def test_the_log_comes_page_by_page(guarded: Guarded) -> None:
    first = guarded.call("GET", "/v1/audit?limit=3", Role.ADMIN).json()
    second = guarded.call("GET", f"/v1/audit?limit=3&before={first['next_before']}", Role.ADMIN).json()
    sequences = [entry["sequence"] for entry in first["entries"] + second["entries"]]
    assert sequences == sorted(sequences, reverse=True)
    assert len(set(sequences)) == 6


def test_where_nobody_has_to_log_in_a_key_counts_all_the_same(service: Service) -> None:
    assert service.client.get("/v1/session").json() == {
        "asks_for_keys": False,
        "key_id": None,
        "name": "local",
        "role": "admin",
    }
    _, secret = service.store.add_key("reader", Role.READ, "the test")
    own = {"Authorization": f"Bearer {secret}"}
    assert service.client.post("/v1/jobs", json=job_document(), headers=own).status_code == 403
    wrong = {"Authorization": "Bearer pf_wrong"}
    assert service.client.get("/v1/jobs", headers=wrong).status_code == 401
