"""Running the service: uvicorn, told what this application needs."""

from __future__ import annotations

import socket

import uvicorn

from api.app import create_app
from api.connection import MAX_HEAD_BYTES, connection_of
from api.services import Services
from api.settings import Settings


class Server(uvicorn.Server):
    """Uvicorn, which first ends the event streams when it stops: they would keep it from stopping otherwise."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        self.app_services: Services = app.state.services
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http=connection_of(settings),
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                ws="none",  # no route speaks it, and its connections would know no time limits
                lifespan="on",
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=settings.shutdown_s,
            )
        )

    @property
    def url(self) -> str:
        """The address of the running server; with port 0 this tells which one it took."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams, then everything else."""
        self.app_services.news.close()
        await super().shutdown(sockets)
