"""Keys and the log of who did what: for administrators."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from api.auth import PrincipalDep
from api.inputs import DocumentDep, refuse_unknown_query, takes
from api.schemas.keys import AuditPage, Key, KeyList, NewKey
from api.schemas.problem import documented
from api.services import StoreDep
from nas.errors import Conflict
from nas.jobs.access import create_key, describe_audit, describe_key, describe_keys

router = APIRouter(prefix="/v1", tags=["keys"], dependencies=[Depends(refuse_unknown_query)])


@router.get("/keys", response_model=KeyList, responses=documented())
def list_keys(store: StoreDep) -> dict[str, Any]:
    """List every key, revoked ones too; no secret is among what is told."""
    return {"keys": describe_keys(store)}


@router.post(
    "/keys",
    status_code=201,
    response_model=NewKey,
    responses=documented(413, 415, 422),
    openapi_extra=takes("KeyRequest"),
)
def add_key(document: DocumentDep, store: StoreDep, principal: PrincipalDep) -> dict[str, Any]:
    """Make a key. Its secret is in this answer and nowhere else: only a hash of it is kept."""
    return create_key(store, document, principal.name)


@router.delete("/keys/{key_id}", response_model=Key, responses=documented(404, 409))
def revoke_key(key_id: str, store: StoreDep, principal: PrincipalDep) -> dict[str, Any]:
    """Let a key open nothing any more; its jobs go on. The caller's own stays, and the last administrator's."""
    if key_id == principal.key_id:
        raise Conflict(f"{key_id} is the key that you call with: revoke it with another, or with `nas keys revoke`.")
    return describe_key(store.revoke_key(key_id))


@router.get("/audit", response_model=AuditPage, responses=documented(422))
def list_audit_entries(
    store: StoreDep,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="The `next_before` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List who did what, newest first: what could change something, and what was refused."""
    return describe_audit(store, before, limit)
