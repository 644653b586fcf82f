"""What every interop test needs: the embedded Identity Center, a home folder, our program, the token file."""

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import re
import ssl
import subprocess
import tempfile
import time
import urllib.request
from typing import Any, Iterator, Sequence

REGION = "eu-west-1"
START_URL = "https://d-1234567890.awsapps.com/start"
ACCOUNT, ROLE = "123456789012", "Developer"
COMMAND_SECONDS = 90
MINUTE = 60
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Unavailable(Exception):
    """A tool cannot be had here; the text is the reason."""


class Server:
    """The running Identity Center and its control interface."""

    def __init__(self, program: str, folder: pathlib.Path, *options: str):
        self.ca = str(folder / "ca.pem")
        command = [program, "--ca", self.ca, "--proxy-region", REGION, *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.endpoint, self.proxy = told["endpoint"], told["proxy"]
        context = ssl.create_default_context(cafile=self.ca)
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        self.opener = urllib.request.build_opener(*handlers)

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def control(self, operation: str, **members: Any) -> dict:
        url = f"{self.endpoint}/_test/{operation}"
        data = None if operation in ("requests", "stats") else json.dumps(members).encode()
        with self.opener.open(urllib.request.Request(url, data), timeout=10) as answer:
            return json.load(answer)

    def stats(self) -> dict:
        return self.control("stats")

    def requests(self, path: str) -> list[dict]:
        return [seen for seen in self.control("requests")["requests"] if seen["path"] == path]


class Home:
    """A home folder with sessions in its AWS config. Session NAME has profile `dev-NAME`, and `token-NAME` without a
    role."""

    def __init__(
        self, folder: pathlib.Path, sessions: Sequence[str] = ("work",), scopes: str | None = "sso:account:access"
    ):
        self.folder = folder
        self.cache = folder / ".aws/sso/cache"
        self.cache.mkdir(parents=True)
        scope_line = f"sso_registration_scopes = {scopes}\n" if scopes else ""
        # AWS CLI v1 would fetch a start URL and pass on what it finds there.
        text = ["[default]\ncli_follow_urlparam = false\n"]
        for name in sessions:
            text.append(f"[sso-session {name}]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n{scope_line}")
            text.append(f"[profile dev-{name}]\nsso_session = {name}\nsso_account_id = {ACCOUNT}\n")
            text.append(f"sso_role_name = {ROLE}\nregion = {REGION}\n")
            text.append(f"[profile token-{name}]\nsso_session = {name}\nregion = {REGION}\n")
        (folder / ".aws/config").write_text("".join(text))

    def environment(self, server: Server, **more: str) -> dict[str, str]:
        """Nothing of ours but what programs need to start."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL")}
        shown = {"HOME": str(self.folder), "AWS_CA_BUNDLE": server.ca, "NODE_EXTRA_CA_CERTS": server.ca}
        return kept | shown | {"AWS_PAGER": ""} | more

    def direct(self, server: Server) -> dict[str, str]:
        """For clients that know service-specific endpoints."""
        oidc, portal = "AWS_ENDPOINT_URL_SSO_OIDC", "AWS_ENDPOINT_URL_SSO"
        return self.environment(server, **{oidc: server.endpoint, portal: server.endpoint})

    def proxied(self, server: Server) -> dict[str, str]:
        """For clients that know no setting for these endpoints: a proxy leads AWS's own host names to the server, whose
        certificate covers them, so nothing in the client is bent."""
        return self.environment(server, HTTPS_PROXY=server.proxy)

    def token_path(self, session: str = "work") -> pathlib.Path:
        return self.cache / token_name(session)

    def text(self, session: str = "work") -> str:
        return self.token_path(session).read_text()

    def token(self, session: str = "work") -> dict:
        return json.loads(self.text(session))

    def write(self, text: str, session: str = "work") -> None:
        path = self.token_path(session)
        path.write_text(text)
        path.chmod(0o600)

    def age(self, seconds_left: int, session: str = "work") -> None:
        """Moves only the token's end; every other byte stays as its writer left it."""
        pattern = r'("expiresAt"\s*:\s*)"[^"]*"'
        text, found = re.subn(pattern, rf'\g<1>"{stamp(seconds_left)}"', self.text(session))
        assert found == 1, f"no expiresAt in {text}"
        self.write(text, session)

    def forget_role_credentials(self) -> None:
        """The AWS CLI keeps them; without, it must use the token."""
        for path in (self.folder / ".aws/cli/cache").glob("*.json"):
            path.unlink()


class Program:
    """Our own program."""

    def __init__(self, path: str):
        self.path = path

    def run(self, home: Home, server: Server, *arguments: str) -> subprocess.CompletedProcess:
        command = [self.path, *arguments]
        environment = home.direct(server)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS)

    def refresh(self, home: Home, server: Server, *arguments: str) -> str:
        """A check that must end well; what it said."""
        ran = self.run(home, server, "refresh", *arguments)
        assert ran.returncode == 0, f"refresh: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def state(self, home: Home, server: Server, session: str = "work") -> str:
        told = json.loads(self.run(home, server, "status", "--json").stdout)
        return next(each["state"] for each in told["sessions"] if each["name"] == session)


def parser(doc: str) -> argparse.ArgumentParser:
    """What all programs here take."""
    found = argparse.ArgumentParser(description=doc.splitlines()[0])
    build = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"
    found.add_argument("--program", default=str(build / "aws-sso-refresh"), help="our program")
    found.add_argument("--server", default=str(build / "examples/identity-center"), help="the Identity Center")
    found.add_argument("--work", type=pathlib.Path, default=REPOSITORY / "target/interop", help="where tools are kept")
    return found


def token_name(session: str) -> str:
    return hashlib.sha1(session.encode()).hexdigest() + ".json"


def stamp(seconds_from_now: float) -> str:
    at = datetime.datetime.fromtimestamp(time.time() + seconds_from_now, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def sign_in_text(granted: dict, seconds_left: int, **changed: Any) -> str:
    """A token file as the AWS CLI's login writes it; `changed` members are set or, where `...`, left out."""
    token = {"startUrl": START_URL, "region": REGION, "accessToken": granted["accessToken"]}
    token |= {"expiresAt": stamp(seconds_left)}
    token |= {name: granted[name] for name in ("clientId", "clientSecret")}
    token |= {"registrationExpiresAt": stamp(granted["registrationExpiresAt"] - time.time())}
    token |= {"refreshToken": granted["refreshToken"]} | changed
    return json.dumps({name: value for name, value in token.items() if value is not ...})


def run(command: list, environment: dict[str, str], seconds: float = COMMAND_SECONDS) -> str:
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
    assert ran.returncode == 0, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


@contextlib.contextmanager
def laboratory(
    server_program: str, *options: str, sessions: Sequence[str] = ("work",)
) -> Iterator[tuple[Server, Home]]:
    """A server and a home that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="interop-") as name:
        folder = pathlib.Path(name)
        server = Server(server_program, folder, *options)
        try:
            yield server, Home(folder / "home", sessions)
        finally:
            server.stop()


def sign_in_with_device_code(aws: str, server: Server, home: Home, session: str = "work") -> None:
    """`aws sso login` as a person runs it; this program is the person with the browser."""
    command = [aws, "sso", "login", "--no-browser", "--sso-session", session]
    told = subprocess.run([aws, "sso", "login", "help"], env=home.environment(server), capture_output=True, text=True)
    if "--use-device-code" in told.stdout:
        command.append("--use-device-code")
    with tempfile.TemporaryFile("w+") as output:
        login = subprocess.Popen(command, env=home.proxied(server), stdout=output, stderr=output)
        deadline = time.monotonic() + COMMAND_SECONDS
        while login.poll() is None and time.monotonic() < deadline:
            for code in server.stats()["waitingUserCodes"]:
                # Late enough that the CLI meets `authorization_pending` first.
                time.sleep(2)
                assert server.control("approve_device", userCode=code)["found"]
            time.sleep(0.2)
        if login.poll() is None:
            login.kill()
        output.seek(0)
        text = output.read()
    assert login.wait() == 0 and "Successfully logged into" in text, text
