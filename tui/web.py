"""The app in a browser of this machine, for those who tunnel: loopback alone, behind a secret address.

Every user of a machine reaches its loopback, so the address holds a random token: without it each request is answered
with 404. The token stands in no argument of a process, and the page is told to give its address to nobody.
"""

from __future__ import annotations

import os
import secrets
import shlex
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import InputError
from colonnade.tui.console import emit, say
from colonnade.tui.own_process import own_command, own_environment

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["make_server", "serve"]

_HOST = "127.0.0.1"
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://127.0.0.1:* ws://localhost:*"
    ),
}

_FOCUS = """<script>
const connected = setInterval(() => {
  if (!document.body?.classList.contains("-loaded")) return;
  clearInterval(connected);
  const type = () => document.querySelector(".xterm-helper-textarea")?.focus();
  type();
  addEventListener("focus", type);
}, 50);
</script>"""
"""Keys act at once, without a click into the page."""


def serve(store: Path, port: int | None = None) -> None:
    """Serve the app until ctrl-c; prints its address. Each page that is opened is an app of its own.

    Raises:
        InputError: the extra is not installed, or the port cannot be had.
    """
    listener = _listen(port)
    server = make_server(store, listener.getsockname()[1])
    emit(f"{server.public_url}/{server.token}/")
    say(
        f"open this address in a browser of this machine, or through ssh -L {server.port}:{_HOST}:{server.port} HOST"
    )
    say("whoever has the address has the app: do not pass it on. ctrl-c ends it")
    os.environ.update(own_environment())  # which is what textual-serve gives the app
    server.serve_on(listener)


def make_server(store: Path, port: int) -> Any:
    """The server, with its `token`; `serve_on(socket)` runs it.

    Raises:
        InputError: the extra is not installed.
    """
    try:
        import aiohttp_jinja2
        import jinja2
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError:
        raise InputError("--web needs an extra: pip install 'colonnade[web]'") from None

    class SecretServer(Server):
        """textual-serve's server with every route below the token."""

        def __init__(self) -> None:
            words = own_command("colonnade.tui.cli", "ui", str(store.absolute()))
            super().__init__(shlex.join(words), host=_HOST, port=port, title=f"colonnade {store.name}")
            self.token = secrets.token_urlsafe(32)

        async def handle_index(self, request: web.Request) -> Any:
            page: Any = await super().handle_index(request)
            page.text = page.text.replace("</body>", f"{_FOCUS}</body>")
            return page

        async def _make_app(self) -> web.Application:
            app = web.Application(middlewares=[_guard(self.port)])
            aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(self.templates_path))
            below = f"/{self.token}"
            app.add_routes(
                [
                    web.get(f"{below}/", self.handle_index, name="index"),
                    web.get(f"{below}/ws", self.handle_websocket, name="websocket"),
                    web.get(f"{below}/download/{{key}}", self.handle_download, name="download"),
                    web.static(f"{below}/static", self.statics_path, show_index=False, name="static"),
                ]
            )
            return app

        def serve_on(self, listener: socket.socket) -> None:
            web.run_app(
                self._make_app(),
                sock=listener,
                access_log=None,
                handle_signals=True,
                shutdown_timeout=0.5,
                print=lambda *_: None,
            )

    return SecretServer()


def _listen(port: int | None) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port or 0))
        listener.listen(64)  # whoever opens the address before the server runs waits for it
    except OSError as error:
        listener.close()
        raise InputError(f"port {port}: {error.strerror}; choose another, or none") from None
    return listener


def _guard(port: int) -> Any:
    """What every request passes: it must name this host, and a page of another site may not connect."""
    from aiohttp import web

    hosts = {f"{_HOST}:{port}", f"localhost:{port}"}

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if request.host not in hosts or (origin is not None and origin.removeprefix("http://") not in hosts):
            raise web.HTTPForbidden(text="not for this address")
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guard
