"""Trials and the front of a job, and what can be downloaded of a trial."""

from __future__ import annotations

import gzip
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse

from api.conditions import NOT_MODIFIED, Poll, PollDep
from api.inputs import JSON, YAML, refuse_unknown_query
from api.schemas.columns import Columns, JobDevices
from api.schemas.fidelity import Fidelity
from api.schemas.growth import Growth
from api.schemas.importance import Importance
from api.schemas.problem import documented
from api.schemas.reading import Picks, Reading
from api.schemas.trial import BundleProgress, Front, TrialDetail, TrialPage
from api.services import ServicesDep, StoreDep
from nas.documents import to_yaml
from nas.jobs.bundles import Making
from nas.jobs.columns import columns_of
from nas.jobs.delivery import config_of, weights_of
from nas.jobs.fidelity_report import fidelity_of
from nas.jobs.importance import importance_of
from nas.jobs.other_devices import devices_of, table_versions
from nas.jobs.picks import picks_of
from nas.jobs.progress import progress_by_trial
from nas.jobs.reading import reading_of
from nas.jobs.report import describe_trial, front_of, some_trials, trials_page
from nas.jobs.view import view_of
from nas.store.records import TrialState
from nas.store.store import Store

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["trials"], dependencies=[Depends(refuse_unknown_query)])

NUMBERS = "^[0-9]{1,9}(,[0-9]{1,9})*$"
Number = Annotated[int, Path(ge=0, description="The trial's number, from 0.")]
Objectives = Annotated[str | None, Query(description="Metrics, separated by commas; without it the job's own.")]
Constraints = Annotated[list[str] | None, Query(description="A limit such as `parameters <= 1e6`; repeat it for more.")]
Cost = Annotated[str | None, Query(description="What is limited; without it the last cost among the job's objectives.")]
Bought = Annotated[str | None, Query(description="What is to be best; without it the metric of the job's task.")]
_NOT_MODIFIED_OR = NOT_MODIFIED | documented(404, 422)


@router.get("/front", response_model=Front, responses=_NOT_MODIFIED_OR)
def front(
    poll: PollDep,
    store: StoreDep,
    objectives: Objectives = None,
    constraint: Constraints = None,
) -> dict[str, Any] | Response:
    """Return the front under the job's own objectives and limits, or under any others."""
    return poll.answer(
        lambda: front_of(store, poll.job, _names(objectives), constraint), _mark(poll, store, objectives, constraint)
    )


@router.get("/front/reading", response_model=Reading, responses=_NOT_MODIFIED_OR)
def reading(
    poll: PollDep,
    store: StoreDep,
    objectives: Objectives = None,
    constraint: Constraints = None,
) -> dict[str, Any] | Response:
    """Return who is really on that front given what is uncertain, what more of a cost buys, and what to measure."""
    return poll.answer(
        lambda: reading_of(store, poll.job, _names(objectives), constraint), _mark(poll, store, objectives, constraint)
    )


@router.get("/front/picks", response_model=Picks, responses=_NOT_MODIFIED_OR)
def picks(
    poll: PollDep,
    store: StoreDep,
    cost: Cost = None,
    quality: Bought = None,
    constraint: Constraints = None,
) -> dict[str, Any] | Response:
    """Return the best trial under every limit on a cost, and what the next step beyond the limit buys."""
    return poll.answer(
        lambda: picks_of(store, poll.job, cost, quality, constraint),
        _mark(poll, store, f"{cost},{quality}", constraint),
    )


@router.get("/hypervolume", response_model=Growth, responses=_NOT_MODIFIED_OR)
def hypervolume(poll: PollDep, store: StoreDep) -> dict[str, Any] | Response:
    """Return how the hypervolume of the job has grown, trial by trial."""
    return poll.answer(lambda: progress_by_trial(store, poll.job))


@router.get("/importance", response_model=Importance, responses=_NOT_MODIFIED_OR)
def importance(poll: PollDep, store: StoreDep) -> dict[str, Any] | Response:
    """Return how much each choice of the space matters to each objective of the job; takes seconds."""
    return poll.answer(lambda: importance_of(store, poll.job))


@router.get("/fidelity", response_model=Fidelity, responses=_NOT_MODIFIED_OR)
def fidelity(poll: PollDep, store: StoreDep) -> dict[str, Any] | Response:
    """Return how far the scores of the job's search can be trusted, as trainings in full have shown."""
    return poll.answer(lambda: fidelity_of(store, poll.job))


@router.get("/trials", response_model=TrialPage, responses=_NOT_MODIFIED_OR)
def list_trials(
    poll: PollDep,
    store: StoreDep,
    after: Annotated[int, Query(ge=-1, description="The `next_after` of the page before.")] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    state: Annotated[Literal["running", "complete", "stopped", "skipped", "failed"] | None, Query()] = None,
    numbers: Annotated[
        str | None, Query(description="Only these, separated by commas, whatever else is asked.", pattern=NUMBERS)
    ] = None,
) -> dict[str, Any] | Response:
    """List trials by number."""
    if numbers is not None:
        return poll.answer(lambda: some_trials(store, poll.job, [int(number) for number in numbers.split(",")]))
    return poll.answer(lambda: trials_page(store, poll.job, after, limit, None if state is None else TrialState(state)))


@router.get("/trials/columns", response_model=Columns, responses=_NOT_MODIFIED_OR)
def trials_as_columns(
    poll: PollDep,
    store: StoreDep,
    metrics: Annotated[
        str, Query(description="Metrics, separated by commas; of any device that can be predicted.")
    ] = "",
    features: Annotated[bool, Query(description="Whether to tell what was chosen in each architecture.")] = False,
    after: Annotated[int, Query(ge=-1, description="Only trials with a higher number.")] = -1,
    accept_encoding: Annotated[str, Header()] = "",
) -> dict[str, Any] | Response:
    """Return all trials at once, as columns: a hundred thousand in a second or two."""
    return poll.answer(
        lambda: _packed(
            columns_of(store, poll.job, _names(metrics or None) or [], features=features, after=after),
            "gzip" in accept_encoding,
        ),
        _mark(poll, store, metrics, None),
    )


@router.get("/devices", response_model=JobDevices, responses=documented(404, 422))
def job_devices(job_id: str, store: StoreDep) -> dict[str, Any]:
    """List the devices that the job's trials can be ranked for: its own, and others by their newest latency tables."""
    return devices_of(store, store.job(job_id))


@router.get("/trials/{number}", response_model=TrialDetail, responses=documented(404, 422))
def look_at_trial(job_id: str, number: Number, store: StoreDep) -> dict[str, Any]:
    """Return one trial with the history of its training."""
    job = store.job(job_id)
    trial = store.trial(job_id, number)
    return describe_trial(job, trial, view_of(store, job)) | {"training": trial.training}


_CONFIGURATION: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The configuration, as JSON or as YAML; the two are the same document.",
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/Config"}},
            YAML: {"schema": {"$ref": "#/components/schemas/Config"}},
        },
    }
}


@router.get("/trials/{number}/config", responses=_CONFIGURATION | documented(404, 409, 422), response_class=Response)
def download_configuration(
    job_id: str,
    number: Number,
    store: StoreDep,
    request: Request,
    form: Annotated[
        Literal["yaml", "json"] | None, Query(alias="format", description="Without it `Accept` decides.")
    ] = None,
    device: Annotated[
        list[str] | None, Query(description="Promise its latency on this device too; repeatable.")
    ] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Download everything that rebuilds the trial's model, and the numbers it should then show."""
    trial = store.trial(job_id, number)
    document = config_of(store, store.job(job_id), trial, str(request.base_url), device or ())
    wants_yaml = form == "yaml" or (form is None and "yaml" in accept)
    content = to_yaml(document) if wants_yaml else json.dumps(document, indent=2) + "\n"
    name = f"{document['architecture']['id']}.{'yaml' if wants_yaml else 'json'}"
    return Response(content, media_type=YAML if wants_yaml else JSON, headers=_as_file(name) | {"Vary": "Accept"})


_WEIGHTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The weights, as safetensors.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/trials/{number}/weights", responses=_WEIGHTS | documented(404, 422), response_class=Response)
def download_weights(job_id: str, number: Number, store: StoreDep) -> Response:
    """Download the weights that the configuration promises: of the training in full, where there was one."""
    trial = store.trial(job_id, number)
    content, sha256 = weights_of(store, store.job(job_id), trial)
    return Response(
        content,
        media_type="application/octet-stream",
        headers=_as_file(f"{trial.architecture_id}.safetensors") | {"ETag": f'"{sha256}"'},
    )


_BUNDLE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bundle, as a zip.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    },
    202: {"model": BundleProgress, "description": "It is being made, which takes a minute: ask again."},
}


@router.get("/trials/{number}/bundle", responses=_BUNDLE | documented(404, 409, 422), response_class=Response)
def download_bundle(job_id: str, number: Number, services: ServicesDep) -> Response:
    """Download everything that deploys the trial's model: programs for each runtime, weights, and what was checked.

    The first who asks has it made.
    """
    store = services.store
    trial = store.trial(job_id, number)
    found = services.bundles.ask(store, store.job(job_id), trial)
    if isinstance(found, Making):
        content = BundleProgress(what=found.what, done=found.done, total=found.total).model_dump_json()
        return Response(content, status_code=202, media_type=JSON, headers={"Retry-After": "1"})
    return FileResponse(found, media_type="application/zip", filename=f"{trial.architecture_id}.zip")


def _mark(poll: Poll, store: Store, metrics: str | None, constraints: list[str] | None) -> str:
    """Return what tells answers by other latency tables apart, none of which is an event of the job."""
    versions = table_versions(store, poll.job, [metrics or "", *(constraints or [])])
    return "".join(f"-{device}.{version}" for device, version in versions)


def _packed(document: dict[str, Any], compressed: bool) -> Response:
    # Past pydantic, which takes seconds for a million numbers that come out of arrays
    content = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    headers = {"Vary": "Accept-Encoding"}
    if compressed:
        content, headers = gzip.compress(content, 1, mtime=0), headers | {"Content-Encoding": "gzip"}
    return Response(content, media_type=JSON, headers=headers)


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _names(objectives: str | None) -> list[str] | None:
    return None if objectives is None else [name.strip() for name in objectives.split(",")]
