"""What every route works with, put together once by `create_app` and handed over by FastAPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.followed import Followed
from api.metrics import RequestMetrics
from api.news import News
from api.rates import Rates
from api.settings import Settings
from nas.jobs.bundles import Bundles
from nas.store.store import Store


@dataclass(frozen=True)
class Services:
    """The parts of one running service."""

    settings: Settings
    store: Store
    news: News
    followed: Followed
    metrics: RequestMetrics
    rates: Rates
    bundles: Bundles


async def services_of(request: Request) -> Services:
    """Return the services of the app that serves this request."""
    services: Services = request.app.state.services
    return services


async def store_of(request: Request) -> Store:
    """Return the store of the app that serves this request."""
    return (await services_of(request)).store


ServicesDep = Annotated[Services, Depends(services_of)]
StoreDep = Annotated[Store, Depends(store_of)]
