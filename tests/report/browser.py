"""A headless Chromium on the end of a pipe: the DevTools protocol as JSON between null bytes, no driver, no port, no network."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --no-default-browser-check --disable-extensions "
    "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe"
)
_KEYS = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "Escape": (27, "")}


class Browser:
    """One tab. What the page did wrong since it was opened is in `complaints`: errors, policy violations, dialogs."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        theirs, self._out = os.pipe()
        self._in, back = os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; the shell puts the pipes there.
        line = f'exec "$0" "$@" 3<&{theirs} 4>&{back}'
        words = ["bash", "-c", line, CHROMIUM, *_FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(words, pass_fds=(theirs, back), **quiet)
        os.close(theirs)
        os.close(back)
        self._held, self._count, self._session = b"", 0, ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters} | ({"sessionId": self._session} if self._session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _receive(self, seconds: float = 30) -> dict[str, Any]:
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._in], [], [], seconds)
            read = os.read(self._in, 2**20) if ready else b""
            if not read:
                raise TimeoutError("the browser says nothing" if not ready else "the browser has gone")
            self._held += read
        text, _, self._held = self._held.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, method: str | None, told: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {told['exceptionDetails'].get('exception', {}).get('description', told)}")
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console: {told['args']}")
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"log: {told['entry']['text']}")
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {told['message']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, url: str) -> float:
        """Loads a page and returns the seconds until its load event; forgets what earlier pages did."""
        self._go("about:blank")  # else a page that differs in its fragment only is not loaded again
        self.complaints, self.requests = [], []
        begin = time.monotonic()
        self._go(url)
        return time.monotonic() - begin

    def _go(self, url: str) -> None:
        self._loaded = False
        self.call("Page.navigate", url=url)
        while not self._loaded:
            self._receive()

    def script(self, expression: str) -> Any:
        """The value of an expression in the page, waited for where it is a promise."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def press(self, key: str) -> None:
        code, text = _KEYS[key]
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)
        self.settle()

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def settle(self) -> None:
        """Until the page has answered what was done to it."""
        self.script("new Promise((done) => setTimeout(done, 30))")

    def close(self) -> None:
        try:
            self._session = ""
            os.write(self._out, json.dumps({"id": 0, "method": "Browser.close"}).encode() + b"\0")
            self._process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
