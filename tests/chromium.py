"""A headless Chromium for tests, steered over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["BROWSER", "Page", "opened_page"]

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_START_S, _ANSWER_S = 90.0, 60.0


class Page:
    """A tab. Whatever the browser reports is kept in `events`."""

    def __init__(self, socket: Any, session: str) -> None:
        self._socket, self._session = socket, session
        self._numbers = itertools.count(1000)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []

    async def read(self) -> None:
        """Take in what the browser says, until it ends."""
        async for message in self._socket:
            found = message.json()
            waiting = self._waiting.pop(found.get("id", 0), None)
            if waiting is None:
                self.events.append(found)
            elif not waiting.done():
                waiting.set_result(found)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(
            {"id": number, "method": method, "params": parameters, "sessionId": self._session}
        )
        answer = await asyncio.wait_for(waiting, _ANSWER_S)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    async def evaluate(self, script: str) -> Any:
        """The value of an expression of the page."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str, code: str, number: int) -> None:
        """Press a key: its name, its place, and its number in the browser's old numbering."""
        text = {"text": key} if len(key) == 1 else {}
        facts = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    async def picture(self) -> bytes:
        """What the page looks like, as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    def told(self, method: str) -> list[dict[str, Any]]:
        """The events of a kind so far."""
        return [event["params"] for event in self.events if event.get("method") == method]


@asynccontextmanager
async def opened_page(folder: Path, before: str = "") -> AsyncIterator[Page]:
    """An empty tab of a new browser.

    Args:
        folder: where the browser keeps what it has; new.
        before: a script that runs in every page before its own.
    """
    import aiohttp

    assert BROWSER is not None
    process = subprocess.Popen(
        [BROWSER, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port, path = await _address(folder, process)
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            target = await _first_call(socket, 1, "Target.createTarget", url="about:blank")
            attached = await _first_call(
                socket, 2, "Target.attachToTarget", targetId=target["targetId"], flatten=True
            )
            page = Page(socket, attached["sessionId"])
            reading = asyncio.create_task(page.read())
            try:
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await page.call(f"{domain}.enable")
                if before:
                    await page.call("Page.addScriptToEvaluateOnNewDocument", source=before)
                yield page
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _address(folder: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Port and path of the browser's own socket, once it has written them down."""
    file, end = folder / "DevToolsActivePort", time.monotonic() + _START_S
    while time.monotonic() < end:
        lines = file.read_text().split() if file.exists() else []
        if len(lines) == 2:
            return lines[0], lines[1]
        assert process.poll() is None, "the browser ended"
        await asyncio.sleep(0.1)
    raise AssertionError("the browser did not start")


async def _first_call(socket: Any, number: int, method: str, **parameters: Any) -> dict[str, Any]:
    """A call to the browser itself, before there is a page."""
    await socket.send_json({"id": number, "method": method, "params": parameters})
    while (answer := await socket.receive_json(timeout=_ANSWER_S)).get("id") != number:
        pass
    result: dict[str, Any] = answer["result"]
    return result
