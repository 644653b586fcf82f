#!/usr/bin/env python3
"""Signs in through a real, headless Chromium, and keeps pictures of what a person sees.

usage: browser_login.py [--program PROGRAM] [--server SERVER] [--work FOLDER]

Chromium is driven through chromedriver (Debian:
chromium, chromium-driver), spoken to with nothing but the standard library; its connections opened ahead of need and its
requests for icons are its own. The pictures are in `pictures` beside FOLDER. Exit code 1 when a check failed, 77 when there is no
Chromium here.
"""

import base64
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import lab
from lab import Home, Server

SECONDS = 30


class Browser:
    """A Chromium of its own, spoken to by WebDriver."""

    FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
             "--disable-component-update --disable-sync --hide-scrollbars --window-size=900,720").split()

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], **quiet)
        options = {"binary": shutil.which("chromium"), "args": [*self.FLAGS, f"--user-data-dir={folder}/profile"]}
        # The server's CA is made anew for every run.
        always = {"goog:chromeOptions": options, "acceptInsecureCerts": True}
        answer = wait_for(lambda: self.call("POST", "/session", capabilities={"alwaysMatch": always}))
        self.base += f"/session/{answer['sessionId']}"

    def call(self, method, path, **members):
        data = json.dumps(members).encode() if method == "POST" else None
        request = urllib.request.Request(self.base + path, data, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=SECONDS) as answer:
            return json.load(answer)["value"]

    def go(self, url):
        self.call("POST", "/url", url=url)

    def click(self, css):
        element = self.call("POST", "/element", using="css selector", value=css)
        self.call("POST", f"/element/{next(iter(element.values()))}/click")

    def text(self, css="body"):
        element = self.call("POST", "/element", using="css selector", value=css)
        return self.call("GET", f"/element/{next(iter(element.values()))}/text")

    def log(self):
        """What Chromium complained of in our own page: something blocked, or something that is not there."""
        entries = self.call("POST", "/se/log", type="browser")
        return [entry["message"] for entry in entries if "127.0.0.1" in entry["message"]]

    def picture(self, path, scheme, width=900):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=720, deviceScaleFactor=1, mobile=False)
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def devtools(self, command, **parameters):
        self.call("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def stop(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)


def wait_for(look):
    """What `look` gives, as soon as it gives something."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if found := look():
                return found
        except (OSError, urllib.error.URLError):
            pass
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


class Login:
    """`aws-sso-refresh login` with a browser that only hands the address over."""

    def __init__(self, program, server, home, *flags):
        script, self.handed = home.folder / "browser", home.folder / "url"
        script.write_text(f"#!/bin/sh\necho \"$1\" > '{self.handed}.part'\nmv '{self.handed}.part' '{self.handed}'\n")
        script.chmod(0o755)
        self.handed.unlink(missing_ok=True)
        environment = home.direct(server) | {"BROWSER": str(script)}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([program, "login", "work", *flags], env=environment, **streams)

    def url(self):
        return wait_for(lambda: self.handed.exists() and self.handed.read_text().strip())

    def ends(self, code):
        output, errors = self.process.communicate(timeout=SECONDS)
        equal((self.process.returncode, errors if code == 0 else ""), (code, ""))
        return output + errors


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def check_a_person_allows_it(program, server, home, browser, pictures):
    login = Login(program, server, home)
    browser.go(login.url())
    browser.click("button[value=allow]")
    output = login.ends(0)
    assert "Signed in to work: " in output, output
    assert "Signed in to work" in browser.text("h1"), browser.text()
    equal(server.stats()["liveRefreshTokens"], [home.token()["refreshToken"]])
    for scheme in ("light", "dark"):
        browser.picture(pictures / f"success-{scheme}.png", scheme)
    browser.picture(pictures / "success-narrow.png", "light", width=360)
    equal(browser.log(), [])
    equal(server.stats()["violations"], [])


def check_a_person_says_no(program, server, home, browser, pictures):
    login = Login(program, server, home)
    browser.go(login.url())
    browser.click("button[value=deny]")
    assert "access_denied" in login.ends(3)
    assert "Not signed in to work" in browser.text("h1"), browser.text()
    for scheme in ("light", "dark"):
        browser.picture(pictures / f"failure-{scheme}.png", scheme)
    equal(browser.log(), [])


def check_what_others_send_changes_nothing(program, server, home, browser, pictures):
    login = Login(program, server, home)
    url = login.url()
    port = url.split("127.0.0.1%3A")[1].split("%2F")[0]
    for target in ("/", "/favicon.ico", "/oauth/callback?error=<script>document.title='x'</script>&state=guess"):
        browser.go(f"http://127.0.0.1:{port}{target}")
        assert "Nothing to see here" in browser.text("h1"), browser.text()
    browser.picture(pictures / "foreign-light.png", "light")
    browser.go(url)
    browser.click("button[value=allow]")
    login.ends(0)


def check_a_code_is_entered_on_a_page(program, server, home, browser, pictures):
    login = Login(program, server, home, "--device-code")
    url = login.url()
    assert "user_code=" in url, url
    browser.go(url)
    browser.click("button[value=allow]")
    login.ends(0)
    equal(server.stats()["liveRefreshTokens"], [home.token()["refreshToken"]])


def main():
    arguments = lab.parser(__doc__).parse_args()
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        print(f"SKIPPED: no {', '.join(missing)}; on Debian: apt-get install chromium chromium-driver", file=sys.stderr)
        return 77
    pictures = arguments.work.parent / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    failed = 0
    checks = [check_a_person_allows_it, check_a_person_says_no, check_what_others_send_changes_nothing,
              check_a_code_is_entered_on_a_page]
    for check in checks:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            server, browser = Server(arguments.server, folder), Browser(folder)
            try:
                check(arguments.program, server, Home(folder / "home"), browser, pictures)
                print("ok     ", check.__name__, flush=True)
            except Exception as err:
                failed += 1
                print("FAILED ", check.__name__, repr(err), flush=True)
            finally:
                browser.stop()
                server.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
