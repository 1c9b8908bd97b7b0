"""The OpenAPI description: FastAPI's own, with the domain's documents quoted from where they are defined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.auth import SCHEME, role_needed
from api.schemas import documents
from api.schemas.job import JobSummary
from api.schemas.keys import SignIn
from api.schemas.problem import ProblemDetails, documented
from api.schemas.score import ScoreRequest
from api.schemas.trial import TrialNews
from nas.architecture import SCHEMA, Architecture
from nas.export.config import Config
from nas.jobs.access import KeyRequest
from nas.latency.device import Device
from nas.latency.table import LatencyTable
from nas.search.finish import Finish
from nas.search.job import JobChanges, JobSpec
from search_spaces import bundled_document

_REF = "#/components/schemas/{model}"

_QUOTED: dict[type[BaseModel], type[BaseModel]] = {
    documents.ArchitectureDocument: Architecture,
    documents.ConfigurationDocument: Config,
    documents.JobDocument: JobSpec,
    documents.LatencyTableDocument: LatencyTable,
}
"""Where an answer passes a document through, the model that the domain checks it by."""


_SAID_OF_ITSELF: dict[type[BaseModel], dict[str, Any]] = {
    Architecture: {
        "schema": {"const": SCHEMA, "description": "What kind of document this is."},
        "id": {"type": "string", "pattern": "^a-[0-9a-f]{20}$", "description": "A hash of everything else."},
    },
}
"""What a document tells beside the fields of its model; whoever sends it may leave it out."""

_TAKEN = (documents.JobDraft, Device, ScoreRequest, Finish, JobChanges, KeyRequest, SignIn)
"""Bodies that are read as documents, so that FastAPI does not see their models."""


_JOB = {
    "name": "which-language",
    "search_space": "smoke",
    "task": {
        "dataset": "language-identification",
        "metric": "error_rate",
        "training": {"steps": 100, "batch_size": 32},
    },
    "workload": {"batch": 1, "input_length": 64},
    "objectives": ["error_rate", "macs"],
    "constraints": ["parameters <= 2e4"],
    "budget": {"trials": 10},
    "sampler": "cost-aware",
    "seed": 0,
}
"""A job that runs anywhere: it needs no device."""


def describe(app: FastAPI) -> None:
    """Make `app.openapi()` return the whole description, made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _description(app: FastAPI) -> dict[str, Any]:
    description = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = description["components"]["schemas"]
    description["components"]["schemas"] = schemas = (
        _schemas((ProblemDetails, TrialNews, JobSummary), "serialization")
        | schemas
        | _schemas((*_QUOTED.values(), *_TAKEN), "validation")
    )
    for model, fields in _SAID_OF_ITSELF.items():
        schemas[model.__name__]["properties"] = fields | schemas[model.__name__]["properties"]
    _describe_access(description["paths"])
    description["components"]["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of this service. On one machine alone, with SQLite, none is asked for.",
        }
    }
    for placeholder, model in _QUOTED.items():
        schemas[placeholder.__name__] = {"$ref": _REF.format(model=model.__name__)}
    description["components"]["schemas"] = dict(sorted(schemas.items()))
    schemas[JobSpec.__name__]["examples"] = [_JOB]
    schemas[documents.SearchSpaceDocument.__name__]["examples"] = [bundled_document("smoke")]
    return description


def _describe_access(paths: dict[str, Any]) -> None:
    """Say of every operation whether it asks for a key, and for what kind of one."""
    for path, operations in paths.items():
        for method, operation in operations.items():
            role = role_needed(method.upper(), path)
            if role is None:
                continue
            operation["security"] = [{SCHEME: [role.value]}, {}]
            refusals = documented(401, 403, 429)
            del refusals["default"]
            operation["responses"] |= {str(status): refusal for status, refusal in refusals.items()}


def _schemas(models: Sequence[type[BaseModel]], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    _, schemas = models_json_schema([(model, mode) for model in models], ref_template=_REF)
    result: dict[str, Any] = schemas["$defs"]
    return result
