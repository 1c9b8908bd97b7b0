"""Where a command's evaluations run: on this machine, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.jobs.compute import Compute

DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask",
        envvar="POCKETFORMER_DASK",
        metavar="ADDRESS",
        show_default="train on this machine",
        help="Train on the Dask cluster whose scheduler is at tcp://HOST:PORT or tls://HOST:PORT.",
    ),
]
DaskResourcesOption = Annotated[
    str | None,
    typer.Option(
        "--dask-resources",
        envvar="POCKETFORMER_DASK_RESOURCES",
        metavar="NAME=AMOUNT,…",
        show_default="none",
        help="What one training takes of its Dask worker: GPU=1, or a label of your own.",
    ),
]


@contextmanager
def opened_compute(dask: str | None, resources: str | None, processes: int | None) -> Iterator[Compute | None]:
    """Connect to the Dask cluster, if one is named, and leave it again; None stands for processes of this machine."""
    if not dask:
        if resources:
            next_step = "name the cluster with --dask, or leave this out"
            raise InvalidInput.of("dask-resources", resources, "resources of a Dask cluster", next_step)
        yield None
        return
    from nas.jobs.dask import DaskCluster, resources_of

    with DaskCluster(dask, resources=resources_of(resources or ""), parallel=processes) as cluster:
        yield cluster
