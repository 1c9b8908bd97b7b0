"""Who is calling, and what they may do: one guard in front of every route, closed unless it is said to be open."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from api.services import Services, ServicesDep
from api.settings import Settings
from nas.errors import Forbidden, StoreUnavailable, Unauthenticated
from nas.store.keys import KeyRecord, Owner, Role
from nas.store.records import JobRecord

_log = logging.getLogger("pocketformer.api")

COOKIE = "pocketformer_key"
SCHEME = "ApiKey"
"""What the OpenAPI description calls it."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
USE_NOTED_EVERY_S = 60.0

_OPEN = frozenset(
    {
        "/",
        "/new",
        "/compare",
        "/devices",
        "/devices/{name}",
        "/jobs/{job_id}",
        "/docs",
        "/docs/start.js",
        "/healthz",
        "/readyz",
        "/v1/session",
    }
)
"""Routes for everybody: pages without data in them, whether the service is up, and the way in."""
_ONLY_READ = frozenset({("POST", "/v1/score"), ("POST", "/v1/check")})
"""What changes nothing, whatever its method says."""
_ADMINISTERED = ("/v1/keys", "/v1/audit")
_PRINCIPAL = "pocketformer.principal"
_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


@dataclass(frozen=True)
class Principal:
    """Who is calling."""

    name: str
    role: Role
    key_id: str | None = None
    owner: Owner | None = None
    """On whose account what is brought is kept; None where nobody has to log in."""


LOCAL = Principal("local", Role.ADMIN)
"""Whoever calls where nobody has to log in: on this machine alone."""


def role_needed(method: str, route: str) -> Role | None:
    """Return what a caller must be at this route; None for anybody. What is not named here changes something."""
    if route in _OPEN:
        return None
    if route.startswith(_ADMINISTERED):
        return Role.ADMIN
    if method in SAFE or (method, route) in _ONLY_READ:
        return Role.READ
    return Role.SUBMIT


def principal_seen(scope: Mapping[str, Any]) -> Principal | None:
    """Return who a request was found to be of; None before that, and where they did not come in."""
    found: Principal | None = scope.get(_PRINCIPAL)
    return found


def guard(request: Request, services: ServicesDep) -> None:
    """Let a caller through who may do this; runs before the body is read.

    Raises `Unauthenticated`, `Forbidden`, and `QuotaExceeded` for who calls too often.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    needed = role_needed(request.method, route.path)
    if needed is None:
        return
    principal = identify(request, services)
    request.scope[_PRINCIPAL] = principal
    if request.method not in SAFE and not _from_own_page(request, services.settings):
        raise Forbidden("A page of another site sent this request: it is not done. Use this service's own page.")
    if principal.key_id is not None:
        services.rates.take(principal.key_id, services.settings.requests_per_minute)
    if not principal.role.includes(needed):
        raise Forbidden(
            f"{request.method} {route.path} is for keys with the role {needed}; the key {principal.key_id} "
            f"({principal.name}) has the role {principal.role}: use another key, or ask an administrator for one."
        )


def identify(request: Request, services: Services) -> Principal:
    """Return who is calling. Raises `Unauthenticated` where a key is asked for, or one was given that opens nothing."""
    asks = services.settings.asks_for_keys or _came_from_afar(request)
    secret, from_cookie = _secret_of(request)
    key = None if secret is None else services.store.key_of_secret(secret)
    if key is not None:
        _note_use(services, key)
        return principal_of(key, services.settings)
    if secret is not None and (asks or not from_cookie):  # a cookie may be left from another service of this host
        raise Unauthenticated("The key is not one of this service's, or was revoked: ask an administrator for another.")
    if asks:
        raise Unauthenticated(
            "This service asks for a key: send it as `Authorization: Bearer KEY` (commands send what "
            "POCKETFORMER_API_KEY holds), or sign in on the page. An administrator makes one with "
            "`nas keys create NAME --role submit`."
        )
    return LOCAL


def principal_of(key: KeyRecord, settings: Settings) -> Principal:
    """Return who a key stands for; where it says nothing of its quotas, the settings do."""
    jobs = key.max_open_jobs if key.max_open_jobs is not None else settings.max_open_jobs
    storage = key.max_storage_bytes if key.max_storage_bytes is not None else settings.max_storage_bytes
    return Principal(key.name, key.role, key.id, Owner(key.id, jobs, storage))


def check_control(principal: Principal, job: JobRecord) -> None:
    """Raise `Forbidden` unless the caller may change this job: its own, or any as an administrator."""
    if principal.role is not Role.ADMIN and job.submitted_by != principal.key_id:
        raise Forbidden(
            f"The job {job.id} was submitted with another key: only that one, or an administrator's, may change it."
        )


def check_evaluator(principal: Principal, document: Mapping[str, Any]) -> None:
    """Raise `Forbidden` for a job that names code where the caller is no administrator."""
    task = document.get("task")
    if isinstance(task, Mapping) and task.get("evaluator") is not None and principal.role is not Role.ADMIN:
        raise Forbidden("A job with an evaluator of its own runs code on the workers: only administrators submit one.")


def cookie_name(request: Request) -> str:
    """Return what the cookie of this service is called: a host's cookies go to all of its ports."""
    return f"{COOKIE}_{request.url.port or request.url.scheme}"


def _secret_of(request: Request) -> tuple[str | None, bool]:
    """Return what the caller shows, and whether a browser added it by itself."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not value.strip():
            raise Unauthenticated("The header Authorization is to be `Bearer KEY`.")
        return value.strip(), False
    return request.cookies.get(cookie_name(request)), True


def _came_from_afar(request: Request) -> bool:
    """Return whether a proxy passed the request on: then a caller on this machine's own address need not be on it."""
    return any(name in request.headers for name in _OF_PROXIES)


def _from_own_page(request: Request, settings: Settings) -> bool:
    """Return whether no page of another site sent the request; what is no browser names no origin.

    A page can send simple requests anywhere, with the cookies of that place or, where nobody has to log in, without
    any. Its browser says where it comes from, and the page can't forge that.
    """
    if request.headers.get("authorization"):
        return True  # no page can add it without asking first, which is never granted
    origin = request.headers.get("origin")
    if origin is None:
        return cookie_name(request) not in request.cookies and request.headers.get("sec-fetch-site") in (None, "none")
    place = urlsplit(origin)
    return place.netloc == request.headers.get("host") or place.hostname in settings.allowed_hosts


_noted: dict[str, float] = {}


def _note_use(services: Services, key: KeyRecord) -> None:
    now = time.monotonic()
    if now - _noted.get(key.id, -USE_NOTED_EVERY_S) < USE_NOTED_EVERY_S:
        return
    _noted[key.id] = now
    try:
        services.store.note_use_of_key(key.id)
    except StoreUnavailable as error:  # worth no refusal
        _log.warning("the use of key %s is not noted: %s", key.id, error)


def _principal(request: Request) -> Principal:
    found = principal_seen(request.scope)
    assert found is not None  # the guard stands before every route that asks for this
    return found


PrincipalDep = Annotated[Principal, Depends(_principal)]
