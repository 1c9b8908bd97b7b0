"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api_service import Service, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that the tests of one file share."""
    with serving(tmp_path_factory.mktemp("service") / "pocketformer.db") as running:
        yield running
