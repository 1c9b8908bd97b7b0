"""Signing in and out on the page: a cookie that holds the key, out of reach of scripts."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from api.auth import Principal, cookie_name, identify, principal_of
from api.inputs import DocumentDep, refuse_unknown_query, takes
from api.schemas.keys import Session, SignIn
from api.schemas.problem import documented
from api.services import ServicesDep
from nas.documents import validate
from nas.errors import Unauthenticated

router = APIRouter(prefix="/v1/session", tags=["keys"], dependencies=[Depends(refuse_unknown_query)])

COOKIE_AGE_S = 30 * 86_400


@router.get("", responses=documented(401))
def look_at_session(request: Request, services: ServicesDep) -> Session:
    """Tell who the caller is; 401 where a key is asked for."""
    return _told(identify(request, services), services.settings.asks_for_keys)


@router.post("", responses=documented(401, 413, 415, 422), openapi_extra=takes("SignIn"))
def sign_in(document: DocumentDep, request: Request, services: ServicesDep, response: Response) -> Session:
    """Have the browser send this key from now on."""
    secret = validate(SignIn, document).api_key
    key = services.store.key_of_secret(secret)
    if key is None:
        raise Unauthenticated("The key is not one of this service's, or was revoked.")
    over_tls = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")
    response.set_cookie(
        cookie_name(request), secret, max_age=COOKIE_AGE_S, httponly=True, samesite="strict", secure=over_tls
    )
    return _told(principal_of(key, services.settings), services.settings.asks_for_keys)


@router.delete("", status_code=204, responses=documented())
def sign_out(request: Request, response: Response) -> None:
    """Have the browser forget the key."""
    response.delete_cookie(cookie_name(request), httponly=True, samesite="strict")


def _told(principal: Principal, asks_for_keys: bool) -> Session:
    return Session(asks_for_keys=asks_for_keys, key_id=principal.key_id, name=principal.name, role=principal.role.value)
