"""The service itself: health, figures, reference, dashboard files, settings, and the worker inside."""

from __future__ import annotations

import gzip
import re
import shutil
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_examples import job_document
from api_service import Service, address_in_page, serving
from playwright.sync_api import sync_playwright
from test_api_errors import problem_of

from api.app import create_app
from api.routes import dashboard
from api.settings import Settings
from nas.errors import InvalidInput

ELSEWHERE = re.compile(r"""(?:src|href|url|action)\s*[=(]\s*["']?(?:https?:)?//""")

ADMIN_KEY = "0123456789abcdef" * 2
PAGES = ("/", "/new", "/compare", "/devices", "/devices/some-board", "/jobs/j-anything")


def modules_named(page: str) -> set[str]:
    return set(re.findall(r'rel="modulepreload" href="/static/dashboard-[0-9a-f]{16}/(\w+\.js)"', page))


class TestHealth:
    def test_a_running_service_is_alive_and_ready(self, service: Service) -> None:
        assert service.client.get("/healthz").json()["status"] == "alive"
        ready = service.client.get("/readyz").json()
        assert ready["status"] == "ready"
        assert ready["schema_revision"] == service.store.schema_revision()

    def test_a_service_without_its_tables_says_so_and_stays_alive(self, tmp_path: Path) -> None:
        with serving(tmp_path / "x.db") as service:
            with sqlite3.connect(service.database) as connection:
                connection.execute("UPDATE alembic_version SET version_num = 'of-another-release'")
            problem = problem_of(service.client.get("/readyz"), 503)
            assert "of-another-release" in problem["detail"]
            assert service.client.get("/healthz").status_code == 200

    def test_a_service_whose_database_is_gone_says_so_and_stays_alive(self, tmp_path: Path) -> None:
        folder = tmp_path / "volume"
        folder.mkdir()
        with serving(folder / "x.db") as service:
            service.server.app_services.store.close()
            shutil.rmtree(folder)
            problem = problem_of(service.client.get("/readyz"), 503)
            assert "x.db" in problem["detail"]
            problem_of(service.client.get("/v1/jobs"), 503)
            assert service.client.get("/healthz").status_code == 200


class TestMetrics:
    def test_requests_are_counted_by_route_and_never_by_what_callers_make_up(self, service: Service) -> None:
        for _ in range(3):
            service.client.get("/v1/jobs/j-made-up")
            service.client.get("/made/up")
        service.client.request("BREW", "/made/up")
        text = service.client.get("/metrics").text
        labels = 'method="GET",route="/v1/jobs/{job_id}",status="404"'
        assert f"pocketformer_http_requests_total{{{labels}}} 3.0" in text
        assert 'method="other"' in text
        assert "made" not in text
        assert 'pocketformer_http_request_duration_seconds_bucket{le="0.5",method="GET",route="/v1/jobs' in text

    def test_jobs_are_counted_by_state(self, tmp_path: Path) -> None:
        with serving(tmp_path / "x.db") as service:
            ids = [service.client.post("/v1/jobs", json=job_document()).json()["id"] for _ in range(3)]
            service.client.post(f"/v1/jobs/{ids[0]}/cancel")
            text = service.client.get("/metrics").text
            assert 'pocketformer_jobs{state="queued"} 2.0' in text
            assert 'pocketformer_jobs{state="cancelled"} 1.0' in text


class TestReference:
    def test_the_page_names_no_other_host_and_every_file_it_names_is_here(self, service: Service) -> None:
        page = service.client.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not ELSEWHERE.search(page.text)
        assert "//" not in page.text
        addresses = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
        assert len(addresses) == 3
        for address in addresses:
            assert service.client.get(address).status_code == 200, address

    @pytest.mark.browser
    def test_a_browser_shows_it_and_asks_nobody_else(self, service: Service) -> None:
        asked, complaints = set(), []
        with sync_playwright() as playwright:
            executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            page = browser.new_page()
            page.on("request", lambda request: asked.add(request.url))
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(f"{service.url}/docs")
            page.get_by_text("Submit a job").first.wait_for(timeout=20_000)
            browser.close()
        assert all(url.startswith((service.url, "data:", "blob:")) for url in asked), asked
        assert complaints == []

    def test_the_examples_of_the_reference_are_taken_as_they_stand(self, service: Service) -> None:
        schemas = service.client.get("/openapi.json").json()["components"]["schemas"]
        (job,) = schemas["JobSpec"]["examples"]
        assert service.client.post("/v1/jobs", json=job).status_code == 201
        (space,) = schemas["SearchSpaceDocument"]["examples"]
        assert service.client.post("/v1/search-spaces", json=space | {"name": "copied"}).status_code == 201

    def test_every_route_describes_its_answers_and_its_errors_in_the_one_shape(self, service: Service) -> None:
        description = service.client.get("/openapi.json").json()
        components = description["components"]["schemas"]
        assert "HTTPValidationError" not in components
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
                assert good, (method, path)
                for status, answer in operation["responses"].items():
                    if status[0] in "45d":
                        (kind,) = answer["content"]
                        assert kind == "application/problem+json"
                        assert answer["content"][kind]["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}
                        assert answer["content"][kind]["example"]["errors"] is not None
                if (method, path) == ("post", "/v1/datasets"):  # its body is a file, no document
                    assert operation["requestBody"]["content"]["application/octet-stream"]["schema"]
                elif method == "post" and not path.endswith(("/cancel", "/pause", "/resume", "/retry")):
                    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"], path
        for reference in _references(description):
            assert reference.removeprefix("#/components/schemas/") in components, reference


class TestDashboard:
    @pytest.mark.parametrize("path", ["/", "/jobs/j-anything"])
    def test_every_page_is_the_same_file_under_a_strict_policy(self, service: Service, path: str) -> None:
        page = service.client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe-eval" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert not ELSEWHERE.search(page.text)

    def test_every_file_of_it_is_served_under_its_type(self, service: Service) -> None:
        types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
        folder = Path(create_app.__code__.co_filename).parent / "dashboard"
        files = [f for f in folder.rglob("*") if f.suffix in types]
        assert files
        place = address_in_page(service.client, "/main.js").rpartition("/")[0]
        for file in files:
            answer = service.client.get(f"{place}/{file.relative_to(folder).as_posix()}")
            assert answer.status_code == 200, file
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-type"].startswith(types[file.suffix])
            assert answer.content == file.read_bytes()
            held = {"If-None-Match": answer.headers["etag"]}
            assert service.client.get(answer.request.url, headers=held).status_code == 304

    def test_plotly_comes_from_the_installed_package_and_may_be_kept_for_ever(self, service: Service) -> None:
        answer = service.client.get(address_in_page(service.client, "plotly.min.js"))
        assert re.fullmatch(r"/static/plotly-[0-9.]+/plotly\.min\.js", answer.request.url.path)
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        assert b"plotly.js v" in answer.content[:200]

    @pytest.mark.parametrize(
        "path",
        [
            "/static/dashboard-0/../app.py",
            "/static/dashboard-0/%2e%2e/app.py",
            "/static/dashboard-0/..%2fapp.py",
            "/static/dashboard-0//etc/passwd",
            "/static/dashboard-0/__init__.py",
        ],
    )
    def test_no_other_file_is_served(self, service: Service, path: str) -> None:
        request = httpx.Request("GET", service.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        problem_of(service.client.send(request), 404)

    def test_of_plotlys_folder_only_its_javascript_is_served(self, service: Service) -> None:
        address = address_in_page(service.client, "plotly.min.js")
        problem_of(service.client.get(address.replace("plotly.min.js", "widgetbundle.js")), 404)

    def test_text_is_sent_compressed_to_who_takes_that_and_as_it_is_to_others(self, service: Service) -> None:
        address = address_in_page(service.client, "plotly.min.js")
        plain = service.client.get(address, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        with service.client.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
            sent = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert len(sent) < 0.4 * len(plain.content)
        assert gzip.decompress(sent) == plain.content
        for one in (plain, answer):
            assert one.headers["vary"] == "Accept-Encoding"
            assert one.headers["content-length"] == str(len(sent if one is answer else plain.content))
            held = {"If-None-Match": one.headers["etag"], "Accept-Encoding": "gzip"}
            assert service.client.get(address, headers=held).status_code == 304
        assert answer.headers["etag"] != plain.headers["etag"]

    def test_another_version_of_a_file_is_not_kept(self, service: Service) -> None:
        # As while one server after another is brought up to date: the page came from one of another version
        current = address_in_page(service.client, "/main.js")
        other = re.sub(r"dashboard-[0-9a-f]+", "dashboard-0123456789abcdef", current)
        assert other != current
        answer = service.client.get(other)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"

    def test_the_version_in_addresses_changes_with_any_file(
        self, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Path(shutil.copytree(dashboard.FOLDER, tmp_path / "dashboard"))
        monkeypatch.setattr(dashboard, "FOLDER", folder)
        before = address_in_page(service.client, "/main.js")
        (folder / "main.js").touch()
        assert address_in_page(service.client, "/main.js") == before
        with (folder / "css" / "base.css").open("a") as style:
            style.write("/* another */")
        assert address_in_page(service.client, "/main.js") != before

    def test_the_page_names_every_module_so_that_none_waits_for_another(self, service: Service) -> None:
        named = {path: modules_named(service.client.get(path).text) for path in PAGES}
        assert set().union(*named.values()) == {path.name for path in dashboard.FOLDER.glob("*.js")}
        assert "job_page.js" in named["/jobs/j-anything"]
        assert not {"new_job_page.js", "compare_page.js"} & named["/jobs/j-anything"]  # which it has no use for
        text = service.client.get("/jobs/j-anything").text
        assert 'rel="preload" as="script" id="plotly"' in text
        assert 'rel="prefetch" as="script" id="plotly"' in service.client.get("/").text


class TestSettings:
    def test_every_setting_says_what_it_is_for(self) -> None:
        for name, field in Settings.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name
            assert not field.is_required(), name

    def test_settings_come_from_the_environment_when_they_are_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POCKETFORMER_PORT", "1234")
        assert Settings.load().port == 1234
        assert Settings.load(port=99).port == 99

    def test_a_wrong_setting_is_named_with_what_is_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POCKETFORMER_PORT", "many")
        with pytest.raises(InvalidInput) as caught:
            Settings.load(event_poll_s=0)
        assert {problem.field for problem in caught.value.problems} == {"port", "event_poll_s"}

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
    def test_at_an_address_that_others_reach_keys_are_asked_for(self, host: str) -> None:
        assert Settings.load(host=host).asks_for_keys

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
    def test_on_this_machine_alone_they_are_asked_for_where_the_database_is_not_or_a_person_says_so(
        self, host: str
    ) -> None:
        assert not Settings.load(host=host).asks_for_keys
        assert Settings.load(host=host, require_keys=True).asks_for_keys
        assert Settings.load(host=host, database_url="postgresql://me@db/nas").asks_for_keys

    @pytest.mark.parametrize("secret", ["short", "with space " * 4, "é" * 40])
    def test_a_key_of_an_administrator_that_could_be_guessed_is_refused_and_not_shown(self, secret: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            Settings.load(admin_key=secret)
        assert [problem.field for problem in caught.value.problems] == ["admin_key"]
        assert secret not in str(caught.value)

    def test_creating_the_app_touches_no_database(self, tmp_path: Path) -> None:
        database = tmp_path / "never.db"
        create_app(Settings.load(database_url=f"sqlite:///{database}"))
        assert not database.exists()


def test_a_service_opened_to_a_network_answers_to_the_names_that_it_was_given(tmp_path: Path) -> None:
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with serving(tmp_path / "x.db", allowed_hosts=("api",), admin_key=ADMIN_KEY) as service:
        assert service.client.get("/v1/jobs", headers={"Host": "api:8000"} | key).status_code == 200
        assert service.client.get("/v1/jobs", headers={"Host": "api:8000"}).status_code == 401  # others reach it
        assert service.client.get("/v1/jobs", headers={"Host": "evil.example"} | key).status_code == 421
    with serving(tmp_path / "x.db", allowed_hosts=("*",), admin_key=ADMIN_KEY) as service:
        assert service.client.get("/v1/jobs", headers={"Host": "anything"} | key).status_code == 200


def test_answers_come_while_a_slow_document_is_read(service: Service) -> None:
    """Parsing happens beside the event loop: nobody waits for another caller's large document."""
    slow = threading.Thread(
        target=lambda: httpx.post(
            f"{service.url}/v1/jobs",
            content="a: [" + "1," * 450_000 + "1]",
            headers={"Content-Type": "application/yaml"},
            trust_env=False,
        )
    )
    slow.start()
    waits = []
    while slow.is_alive():
        started = time.monotonic()
        service.client.get("/healthz")
        waits.append(time.monotonic() - started)
    assert len(waits) > 3


def test_with_an_embedded_worker_one_process_is_the_whole_service(tmp_path: Path) -> None:
    with serving(tmp_path / "x.db", embedded_worker=True) as service:
        document = job_document(budget={"trials": 2})
        job = service.client.post("/v1/jobs", json=document).json()
        with service.client.stream("GET", job["links"]["events"], timeout=120) as answer:
            assert b'"state":"succeeded"' in b"".join(answer.iter_bytes())
        front: dict[str, Any] = service.client.get(job["links"]["front"]).json()
        assert front["evaluated"] == 2
        best = front["members"][0]
        assert service.client.get(best["links"]["config_yaml"]).status_code == 200
        assert len(service.client.get(best["links"]["weights"]).content) > 1000


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    return set().union(*map(_references, value)) if isinstance(value, list) else set()
