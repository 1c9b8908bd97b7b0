"""Evaluations on a Dask cluster, in place of processes of this machine.

`cluster` and `executor` are the side of `nas worker`, `on_worker` is what runs on the Dask workers.
"""

from __future__ import annotations

from nas.jobs.dask.cluster import DaskCluster, resources_of

__all__ = ["DaskCluster", "resources_of"]
