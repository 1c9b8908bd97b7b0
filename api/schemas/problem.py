"""The one shape of every error: RFC 9457 problem details, with our list of wrong fields."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


class Answer(BaseModel):
    """An answer of the service: no field that is not documented here ever leaves it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WrongField(Answer):
    """One thing that is wrong with what was sent."""

    field: str = Field(description="Path of the field, such as `budget.trials`.")
    value: str | None = Field(description="What was sent, shortened.")
    allowed: str = Field(description="What would have been accepted.")
    next_step: str = Field(description="What to do now.")


class ProblemDetails(Answer):
    """Any error of this service (RFC 9457)."""

    type: str = Field(description="A name for the kind of problem that never changes.")
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status, repeated.")
    detail: str = Field(description="What happened in this case.")
    instance: str = Field(description="The id of the request; the server's log has it too.")
    errors: list[WrongField] = Field(description="Each wrong field; empty when no field is to blame.")


_EXAMPLES: dict[int, tuple[str, str, str, list[dict[str, str]]]] = {
    401: ("unauthenticated", "A key is asked for", "This service asks for a key: send it as `Authorization: …`", []),
    403: ("forbidden", "The key is not for that", "POST /v1/jobs is for keys with the role submit", []),
    429: ("quota-exceeded", "The key has as much as it may have", "The key k-0 may have 5 jobs at once", []),
    404: ("not-found", "There is nothing of that name", "no job `j-0`", []),
    409: ("conflict", "The request does not fit the present state", "the job has ended: succeeded", []),
    413: (
        "too-large",
        "The input is larger than what is taken",
        "body: got '50000000 bytes'; allowed: at most 1000000 bytes; send a smaller document",
        [
            {
                "field": "body",
                "value": "'50000000 bytes'",
                "allowed": "at most 1000000 bytes",
                "next_step": "send a smaller document",
            }
        ],
    ),
    415: (
        "unsupported-media-type",
        "The content type is not taken",
        "Content-Type: got 'text/plain'; allowed: application/json, application/yaml; send one of these",
        [
            {
                "field": "Content-Type",
                "value": "'text/plain'",
                "allowed": "application/json, application/yaml",
                "next_step": "send one of these",
            }
        ],
    ),
    422: (
        "invalid-input",
        "The input is not valid",
        "budget.trials: got 0; allowed: greater than or equal to 1; correct `budget.trials`",
        [
            {
                "field": "budget.trials",
                "value": "0",
                "allowed": "greater than or equal to 1",
                "next_step": "correct `budget.trials`",
            }
        ],
    ),
    503: ("store-unavailable", "The database does not answer", "The database sqlite:///x.db can't be used: …", []),
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for these error statuses and for the unexpected one, with an example each."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        kind, title, detail, errors = _EXAMPLES[status]
        responses[status] = _response(title, _example(kind, title, status, detail, errors))
    unexpected = "the service met an error it did not expect; it is in the server's log under this request's id"
    responses["default"] = _response("Any other error", _example("unexpected", "Unexpected error", 500, unexpected, []))
    return responses


def _response(description: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}


def _example(kind: str, title: str, status: int, detail: str, errors: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": f"urn:pocketformer:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "urn:pocketformer:request:4bf92f3577b34da6",
        "errors": errors,
    }
