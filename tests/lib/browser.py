# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, driven through its debugging pipe with nothing but Python's standard library. It gets
an own profile and no network but files: a page that asks for something shows in `requests`."""
import base64
import contextlib
import json
import os
import select
import subprocess
import time

from rig import Skip, need, spawn, end

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program():
    for name in PROGRAMS:
        for d in os.environ.get("PATH", "/usr/bin").split(":"):
            if os.access(os.path.join(d, name), os.X_OK):
                return os.path.join(d, name)
    raise Skip("there is no Chromium")


class Browser:
    """One tab. `errors` has what scripts threw and the console's errors, `requests` every URL that was asked for."""

    def __init__(self, directory, *more):
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()

        def descriptors():  # Chromium reads from 3 and writes to 4
            a, b = os.dup2(to_read, 50), os.dup2(from_write, 51)
            os.dup2(a, 3)
            os.dup2(b, 4)
            os.close(a)
            os.close(b)
            for fd in (3, 4):
                os.set_inheritable(fd, True)
        self.process = spawn(
            [program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
             "--proxy-server=127.0.0.1:9", "--remote-debugging-pipe", f"--user-data-dir={directory}/profile", *more, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=descriptors)
        os.close(to_read)
        os.close(from_write)
        self._number, self._rest, self._answers, self.errors, self.requests = 0, b"", {}, [], []
        self._session = None
        self.loaded = 0
        target = next(t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(domain + ".enable")

    def _event(self, message):
        method, p = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            d = p["exceptionDetails"]
            self.errors.append(d.get("exception", {}).get("description") or d["text"])
        elif method == "Runtime.consoleAPICalled" and p["type"] in ("error", "assert"):
            self.errors.append(str(p["args"]))
        elif method == "Log.entryAdded" and p["entry"]["level"] == "error":
            self.errors.append(p["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded += 1

    def _read(self, until):
        left = until - time.monotonic()
        need(left > 0 and select.select([self._from], [], [], left)[0], "Chromium doesn't answer")
        data = os.read(self._from, 1 << 20)
        need(data, "Chromium ended")
        *whole, self._rest = (self._rest + data).split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._event(message)

    def ask(self, method, seconds=30, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + seconds
        while self._number not in self._answers:
            self._read(until)
        answer = self._answers.pop(self._number)
        need("error" not in answer, f"{method}: {answer.get('error')}")
        return answer["result"]

    def js(self, code):
        """The value of an expression."""
        r = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        need("exceptionDetails" not in r, f"{code}: {r.get('exceptionDetails', {}).get('exception', {}).get('description')}")
        return r["result"].get("value")

    def wait(self, code, seconds=10):
        until = time.monotonic() + seconds
        while True:
            value = self.js(code)
            if value:
                return value
            need(time.monotonic() < until, f"not within {seconds} s: {code}")
            time.sleep(0.02)

    def open(self, path, ready, seconds=30):
        """Seconds from the navigation until `ready` holds."""
        self.errors, self.requests = [], []
        began = time.monotonic()
        self.ask("Page.navigate", url="file://" + path)
        self.wait(ready, seconds)
        return time.monotonic() - began

    def key(self, key, code=None, text="", modifiers=0):
        number = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}.get(key, ord(key.upper()[0]))
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, windowsVirtualKeyCode=number, modifiers=modifiers,
                     text=text if kind == "keyDown" else "")

    def type(self, text):
        for c in text:
            self.ask("Input.insertText", text=c)

    def media(self, **features):
        self.ask("Emulation.setEmulatedMedia", features=[{"name": k.replace("_", "-"), "value": v} for k, v in features.items()])

    def size(self, width, height, scale=1):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def screenshot(self, path, **clip):
        params = {"format": "webp", "quality": 80} if path.endswith(".webp") else {"format": "png"}
        if clip:
            params["clip"] = {**clip, "scale": 1}
            params["captureBeyondViewport"] = True
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.ask("Page.captureScreenshot", **params)["data"]))

    def close(self):
        with contextlib.suppress(AssertionError, OSError):
            self._session = None
            self.ask("Browser.close", seconds=5)
        end(self.process)
        os.close(self._to)
        os.close(self._from)
