"""Debian's chromium without a window, driven by the DevTools protocol over a pair of pipes."""
import base64
import contextlib
import json
import os
import select
import subprocess
import tempfile
import time

from laboratory.programs import SLOWNESS, Failure


class Chromium:
    """A browser for the time of a `with`; `place` is what stands before its command, such as nsenter."""

    def __init__(self, place=(), width=1200, height=900):
        self.place, self.size = list(place), (width, height)
        self.number, self.unread, self.events = 0, b"", []

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory()
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()

        def place_pipes():
            # The protocol is on descriptors 3 and 4. Moved out of the way first: one may be 3 or 4 now.
            source, target = os.dup(to_browser), os.dup(from_browser)
            high = [os.dup2(source, 90), os.dup2(target, 91)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            os.closerange(5, 100)

        self.process = subprocess.Popen(
            [*self.place, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--hide-scrollbars", "--no-proxy-server", f"--user-data-dir={self.profile.name}",
             f"--window-size={self.size[0]},{self.size[1]}", "--remote-debugging-pipe", "about:blank"],
            preexec_fn=place_pipes, close_fds=False, start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Failure, BrokenPipeError):
            self.call("Browser.close", patience=5)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.write_end, self.read_end):
            os.close(descriptor)
        # What it was writing as it ended may be in the way once.
        for _ in range(20):
            try:
                self.profile.cleanup()
                return
            except OSError:
                time.sleep(0.1)

    def call(self, method, parameters=None, session=None, patience=30):
        """What the browser answers to a method; throws Failure where it refuses."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + patience * SLOWNESS
        while True:
            answer = self.receive(end)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Failure(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def receive(self, end):
        while b"\0" not in self.unread:
            if not select.select([self.read_end], [], [], max(0, end - time.monotonic()))[0]:
                raise Failure("chromium does not answer")
            piece = os.read(self.read_end, 1 << 20)
            if not piece:
                raise Failure("chromium has ended")
            self.unread += piece
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def page(self, address):
        """A new page, at an address."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, target, session)
        page.call("Page.enable")
        page.call("Page.bringToFront")  # what is behind another page is not drawn
        page.open(address)
        return page


class Page:
    """A page of a browser."""

    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session

    def call(self, method, **parameters):
        return self.browser.call(method, parameters, self.session)

    def open(self, address):
        self.call("Page.navigate", url=address)

    def close(self):
        self.browser.call("Target.closeTarget", {"targetId": self.target})

    def evaluate(self, expression):
        """The value of a JavaScript expression, a promise's once it has one; throws Failure for an exception."""
        outcome = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in outcome:
            raise Failure(f"{expression}: {outcome['exceptionDetails']['exception'].get('description')}")
        return outcome["result"].get("value")

    def wait(self, expression, patience=10):
        """Waits until a JavaScript expression is true, and returns how many seconds that took."""
        start = time.monotonic()
        while time.monotonic() - start < patience * SLOWNESS:
            with contextlib.suppress(Failure):  # while a page loads there is nothing to ask
                if self.evaluate(f"Boolean({expression})"):
                    return time.monotonic() - start
            time.sleep(0.02)
        raise Failure(f"in {patience * SLOWNESS} s it did not become true: {expression}")

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def dark(self, is_dark):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}])

    def picture(self, file):
        """Writes what is seen to a PNG file."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(file, "wb") as out:
            out.write(base64.b64decode(data))
