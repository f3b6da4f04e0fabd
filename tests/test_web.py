"""The app served to browsers of this machine: who is let in, what a real browser shows, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from app_driving import moon_store
from chromium import BROWSER, Page, opened_page

pytest.importorskip("textual_serve", reason="the extra `web` is not installed")

HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
KEEP_TERMINAL = """
Object.defineProperty(Object.prototype, 'websocket_url', {configurable: true, set(address) {
    Object.defineProperty(this, 'websocket_url', {value: address, writable: true});
    window.keptPage = this;
}});
"""
"""Before the page's own scripts: keeps the object that holds the terminal, which the page does not give out."""
SHOWN = """
(() => {
    const page = window.keptPage;
    if (!page) return '';
    const buffer = page.terminal.buffer.active, lines = [];
    for (let y = 0; y < page.terminal.rows; y++) lines.push(buffer.getLine(y).translateToString(true));
    return lines.join('\\n');
})()
"""
"""What the browser's terminal shows."""


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @property
    def token(self) -> str:
        return urlsplit(self.address).path.strip("/")

    def ask(self, path: str, headers: str = "", *, host: str | None = None, method: str = "GET") -> Answer:
        """Ask with headers of one's own; `host` "" sends no Host header at all."""
        name = f"127.0.0.1:{self.port}" if host is None else host
        line = f"Host: {name}\r\n" if name else ""
        version = "1.1" if name else "1.0"
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            ending = "" if headers.startswith("Connection:") else "Connection: close\r\n"
            request = f"{method} {path} HTTP/{version}\r\n{line}{headers}{ending}\r\n"
            connection.sendall(request.encode("latin-1"))
            return _read_answer(connection)


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    head: str
    body: bytes


def _read_answer(connection: socket.socket) -> Answer:
    """The head, and as much of a body as it announces."""
    found = b""
    while b"\r\n\r\n" not in found:
        some = connection.recv(1 << 16)
        if not some:
            break
        found += some
    head, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    wanted = int(length[1]) if length and not head.startswith(b"HTTP/1.1 101") else 0
    while len(body) < wanted and (some := connection.recv(1 << 16)):
        body += some
    return Answer(int(head.split()[1]), head.decode("latin-1"), body)


@contextmanager
def serving(store: Path, *words: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "colonnade.tui.cli", "ui", str(store), "--web", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{40,}/", address), address
        yield Served(process, address)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moon_store(tmp_path_factory.mktemp("web") / "secret-name", images=300)


@pytest.fixture
def served(store: Path) -> Iterator[Served]:
    with serving(store) as found:
        yield found


async def eventually(
    condition: Callable[[], Awaitable[object]], what: Callable[[], Awaitable[object]], seconds: float = 90.0
) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not happen:\n{await what()}")
        await asyncio.sleep(0.1)


def test_it_listens_on_loopback_alone(served: Served) -> None:
    listening = [
        found.laddr
        for found in psutil.Process(served.process.pid).net_connections("all")
        if found.status == psutil.CONN_LISTEN
    ]
    assert [(one.ip, one.port) for one in listening] == [("127.0.0.1", served.port)]


def test_a_port_of_ones_own_and_one_that_is_taken(served: Served, store: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "colonnade.tui.cli", "ui", str(store), "--web", "--port", str(served.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3 and f"port {served.port}:" in ended.stderr and not ended.stdout
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(store, "--port", str(port)) as other:
        assert other.port == port and other.token != served.token


def test_with_the_token_the_page_is_told_to_keep_it(served: Served) -> None:
    page = served.ask(f"/{served.token}/")
    assert page.status == 200 and b"data-session-websocket-url" in page.body
    head = page.head.lower()
    assert "referrer-policy: no-referrer" in head and "cache-control: no-store" in head
    assert "content-security-policy: default-src 'self'" in head and "x-frame-options: deny" in head
    assert served.ask(f"/{served.token}/static/js/textual.js").status == 200
    opened = served.ask(f"/{served.token}/ws?width=80&height=24", HANDSHAKE)
    assert opened.status == 101


def test_without_the_token_nothing_is_told(served: Served) -> None:
    token = served.token
    wrong = ("a" * 43, token[:-1], token + "a", token.swapcase(), token[::-1], "..", "%2e%2e", "static")
    paths = ["/", "/ws", "/static/js/textual.js", "/static/", "/download/x", "/index/", "//", "/favicon.ico"]
    paths += [
        f"/{one}{rest}" for one in wrong for rest in ("/", "/ws", "/static/js/textual.js", "/download/x")
    ]
    paths += [f"/static/../{token[:-1]}/", f"/x/../{'b' * 43}/", f"/?token={token}", f"/#/{token}/"]
    answers = [served.ask(path) for path in paths]
    answers += [served.ask(path, HANDSHAKE) for path in paths if path.endswith("/ws")]
    answers += [served.ask("/", method=method) for method in ("POST", "HEAD", "OPTIONS", "PUT", "TRACE")]
    for answer in answers:
        assert answer.status == 404, answer
        assert not re.search(rb"secret-name|colonnade|websocket", answer.body + answer.head.encode())
    assert len({answer.body for answer in answers} - {b""}) == 1


def test_with_the_token_no_other_file_can_be_had(served: Served) -> None:
    begin = f"/{served.token}/static"
    for path in ("/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "//etc/passwd", "/", "/js", "/js/"):
        answer = served.ask(begin + path)
        assert answer.status in (403, 404), (path, answer)
        assert b"textual" not in answer.body.lower() and b"root:" not in answer.body
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert served.ask(f"/{served.token}/", method=method).status == 405


def test_pages_of_other_sites_reach_nothing(served: Served) -> None:
    """A name of somebody else's that was made to point here (DNS rebinding), and pages that are open elsewhere."""
    port = served.port
    hosts = ["evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", "localhost", ""]
    hosts += [f"127.0.0.1.evil.example:{port}", f"127.0.0.1:{port}.evil.example", f"0.0.0.0:{port}"]
    origins = ["http://evil.example", f"https://127.0.0.1:{port}", "null", f"http://evil.example:{port}", ""]
    origins += [f"http://127.0.0.1:{port}.evil.example", f"127.0.0.1:{port + 1}", "file://"]
    for rest in ("/", "/ws", "/static/js/textual.js", "/download/x"):
        upgrade = HANDSHAKE if rest == "/ws" else ""
        for path, refused in ((f"/{served.token}{rest}", {403}), (rest, {403, 404})):
            answers = [served.ask(path, upgrade, host=host) for host in hosts if host or not upgrade]
            answers += [served.ask(path, f"{upgrade}Origin: {origin}\r\n") for origin in origins]
            for answer in answers:
                assert answer.status in refused, (path, answer)
                assert not re.search(rb"secret-name|websocket|terminal", answer.body)
    own = served.ask(f"/{served.token}/ws", f"{HANDSHAKE}Origin: http://127.0.0.1:{port}\r\n")
    assert own.status == 101
    assert served.ask(f"/{served.token}/", host=f"localhost:{port}").status == 200


def test_the_token_stands_in_no_process_list(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        request = f"GET /{served.token}/ws HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n{HANDSHAKE}\r\n"
        connection.sendall(request.encode())
        assert _read_answer(connection).status == 101
        process = psutil.Process(served.process.pid)
        found = _apps(process, at_least=1)
        for one in (process, *found):
            assert served.token not in " ".join(one.cmdline())
            assert served.token not in str(one.environ())


def _apps(server: psutil.Process, *, at_least: int = 0, at_most: int | None = None) -> list[psutil.Process]:
    """The processes that a server has started, once there are as many."""
    end = time.monotonic() + 60
    while True:
        found = server.children(recursive=True)
        if len(found) >= at_least and (at_most is None or len(found) <= at_most):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@needs_browser
@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_browser_shows_the_app_and_its_keys_act(served: Served, tmp_path: Path) -> None:
    async with opened_page(tmp_path / "browser", KEEP_TERMINAL) as page:

        async def shown() -> str:
            return str(await page.evaluate(SHOWN))

        async def shows(text: str) -> None:
            async def is_there() -> bool:
                return text in await shown()

            await eventually(is_there, lambda: _told(page))

        await page.call("Page.navigate", url=served.address)
        await shows("300 hits")
        await shows("> 0/0000.jpg")
        empty = len(await page.picture())
        await page.press("ArrowDown", "ArrowDown", 40)
        await shows("2 of 300")
        await page.press("?", "Slash", 191)
        await shows("Keys. They can be changed")
        if folder := os.environ.get("COLONNADE_KEEP_PICTURES"):
            (Path(folder) / "web.png").write_bytes(await page.picture())
        assert empty > 5000, "the page is blank"
        assert not page.told("Runtime.exceptionThrown")
        own = (f"http://127.0.0.1:{served.port}/", "data:", "about:")
        answered = [told["response"]["url"] for told in page.told("Network.responseReceived")]
        assert [address for address in answered if not address.startswith(own)] == []
        await page.press("Escape", "Escape", 27)
        await shows("300 hits")
        await page.press("q", "KeyQ", 81)

        async def is_closed() -> bool:
            return bool(await page.evaluate("document.body.classList.contains('-closed')"))

        await eventually(is_closed, lambda: _told(page))
        _apps(psutil.Process(served.process.pid), at_most=0)
        assert served.ask(f"/{served.token}/").status == 200


async def _told(page: Page) -> str:
    """What is known of a page that does not do what it should."""
    said = [str(one)[:500] for one in page.told("Runtime.exceptionThrown") + page.told("Log.entryAdded")]
    return "\n".join([str(await page.evaluate(SHOWN)), *said])
