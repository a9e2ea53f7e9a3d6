"""Connections of uvicorn, but one that does not say what it wants is closed."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol


class Wire(H11Protocol):
    """patience: seconds for the head of a request, from the connection or from its first byte on."""

    patience = 30.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.late = self._timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self.late.cancel()
        elif self.late.cancelled():
            self.late = self._timer()

    def _timer(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.patience, self.timeout_keep_alive_handler)


def server(app: Any) -> Server:
    """For an ASGI application."""
    # limit_concurrency is left to the desk, whose answer says why; h11 is enough on one machine.
    config = Config(
        app, http=Wire, log_level="warning", server_header=False, timeout_keep_alive=15, timeout_graceful_shutdown=5
    )
    return Server(config)
