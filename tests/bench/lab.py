"""The embedded Identity Center and the home folders that the bench runs in."""

import datetime
import hashlib
import json
import os
import pathlib
import ssl
import subprocess
import time
import urllib.request

REGION = "eu-west-1"
START_URL = "https://d-1234567890.awsapps.com/start"
FRESH, DUE = 59 * 60, 10 * 60  # seconds left
LONG = "x" * 1500  # access tokens, refresh tokens and client secrets of AWS are about as long


class Server:
    """A running Identity Center whose refresh tokens stay good."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, delay: int = 0):
        self.ca = str(folder / f"ca-{delay}.pem")
        command = [str(program), "--ca", self.ca, "--refresh-tokens", "keep", "--server-delay", str(delay)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint = json.loads(self.process.stdout.readline())["endpoint"]
        context = ssl.create_default_context(cafile=self.ca)
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        self.opener = urllib.request.build_opener(*handlers)

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def sign_in(self) -> dict:
        url = f"{self.endpoint}/_test/sign_in"
        with self.opener.open(urllib.request.Request(url, b"{}"), timeout=10) as answer:
            return json.load(answer)


class Home:
    """A home folder with so many sessions, signed in at `server` or, without one, with tokens of the usual size."""

    def __init__(self, folder: pathlib.Path, sessions: int, server: Server | None = None):
        self.folder, self.server = folder, server
        self.cache = folder / ".aws/sso/cache"
        self.cache.mkdir(parents=True)
        self.names = [f"company-{number}" for number in range(sessions)]
        self.granted = {name: server.sign_in() if server else made_up() for name in self.names}
        sections = [
            f"[sso-session {name}]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n"
            "sso_registration_scopes = sso:account:access\n"
            for name in self.names
        ]
        (folder / ".aws/config").write_text("\n".join(sections))
        self.data = folder / ".local/share/aws-sso-refresh"
        self.data.mkdir(parents=True, mode=0o700)
        self.write_memory()
        self.write_tokens(FRESH)

    def environment(self) -> dict[str, str]:
        """As little as a job gets."""
        told = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "AWS_PAGER": ""}
        if self.server is not None:
            told |= {"AWS_CA_BUNDLE": self.server.ca, "AWS_ENDPOINT_URL_SSO_OIDC": self.server.endpoint}
        return told

    def path(self, name: str) -> pathlib.Path:
        return self.cache / (hashlib.sha1(name.encode()).hexdigest() + ".json")

    def write_tokens(self, seconds_left: int) -> None:
        for name, granted in self.granted.items():
            token = {"startUrl": START_URL, "region": REGION, "accessToken": granted["accessToken"]}
            token |= {"expiresAt": stamp(seconds_left)}
            token |= {key: granted[key] for key in ("clientId", "clientSecret")}
            token |= {"registrationExpiresAt": stamp(80 * 86400), "refreshToken": granted["refreshToken"]}
            self.write(self.path(name), json.dumps(token))

    def write_memory(self) -> None:
        """What earlier runs have noted down of every session."""
        noted = {"lastSuccess": stamp(-FRESH), "expiresIn": 3600, "usualExpiresIn": 3600}
        lines = [f"  {json.dumps(name)}: {json.dumps(noted)}" for name in self.names]
        self.write(self.data / "sessions.json", "{\n" + ",\n".join(lines) + "\n}\n")

    def write(self, path: pathlib.Path, text: str) -> None:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            # Else the next one to sync anything, which is the program, waits for this.
            if self.server is not None:
                os.fsync(file.fileno())

    def make_due(self) -> None:
        """As it was an hour after the last refresh: the program leaves alone what it has just refreshed."""
        self.write_memory()
        self.write_tokens(DUE)

    def check_refreshed(self) -> None:
        for name, granted in self.granted.items():
            token = json.loads(self.path(name).read_text())
            if token["accessToken"] == granted["accessToken"]:
                raise RuntimeError(f"{name} was not refreshed")


def made_up() -> dict:
    return {"accessToken": LONG, "refreshToken": LONG, "clientId": "x" * 22, "clientSecret": LONG}


def stamp(seconds_from_now: float) -> str:
    at = datetime.datetime.fromtimestamp(time.time() + seconds_from_now, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
