"""Other ways to keep a session fresh, as far as they can be had on this machine."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import venv
from typing import Callable

from lab import REGION, Home
from measure import HERE, Case, Unavailable

INSTALL_SECONDS = 300

# botocore's own refresh of the token; it refreshes when less than 15 minutes remain.
BOTOCORE_REFRESH = """
import botocore.session
botocore.session.Session(profile="bench").get_auth_token().get_frozen_token()
"""


def aws_cli_2() -> str:
    """The first `aws` of version 2."""
    for folder in [*os.environ["PATH"].split(os.pathsep), "/usr/bin", "/usr/local/bin"]:
        program = os.path.join(folder, "aws")
        if os.access(program, os.X_OK) and version(program).startswith("aws-cli/2"):
            return program
    raise Unavailable("there is no AWS CLI v2 here")


def python_with_aws_cli_1(folder: pathlib.Path) -> pathlib.Path:
    """An environment of its own, kept for the next time, with the AWS CLI v1 and with botocore."""
    place = folder / "venv"
    python = place / "bin/python"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        try:
            venv.create(place, with_pip=True)
            command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "awscli", "botocore"]
            subprocess.run(command, check=True, timeout=INSTALL_SECONDS, capture_output=True)
            (place / "complete").touch()
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"pip cannot install the AWS CLI v1 ({type(error).__name__})") from error
    return python


def version(program: str) -> str:
    """The first word of `--version`, such as `aws-cli/2.9.19`."""
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (told.split() or [""])[0]


class Peers:
    """What was found, under its name and version; what was not, with the reason."""

    def __init__(self, folder: pathlib.Path):
        self.found: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self._look("AWS CLI v2", aws_cli_2)
        self._look("AWS CLI v1", lambda: str(python_with_aws_cli_1(folder).parent / "aws"))
        self._look("botocore", lambda: str(python_with_aws_cli_1(folder)))
        self._look("bash, jq and aws", self._shell)

    def _look(self, name: str, find: Callable[[], str]) -> None:
        try:
            program = find()
        except Unavailable as why:
            self.skipped[name] = str(why)
            print(f"SKIPPED {name}: {why}", file=sys.stderr)
            return
        self.found[name] = program
        if name == "botocore":
            told = subprocess.run([program, "-c", "import botocore; print(botocore.__version__)"], capture_output=True, text=True)
            self.names[name] = f"botocore {told.stdout.strip()}"
        elif name.startswith("AWS"):
            self.names[name] = "AWS CLI " + re.sub(r"^aws-cli/", "", version(program))
        else:
            self.names[name] = name

    def _shell(self) -> str:
        missing = [tool for tool in ("bash", "jq", "sed", "sha1sum") if shutil.which(tool) is None]
        if missing:
            raise Unavailable(f"{', '.join(missing)} not installed")
        return self.found.get("AWS CLI v2") or aws_cli_2()

    def starts(self, home: Home) -> dict[str, Case]:
        """`--version`: what it takes to begin at all."""
        programs = [name for name in ("AWS CLI v2", "AWS CLI v1") if name in self.found]
        cases = {f"`{self.names[name]} --version`": [self.found[name], "--version"] for name in programs}
        return {name: Case(command, home.environment()) for name, command in cases.items()}

    def checks(self, home: Home) -> dict[str, Case]:
        """A check of sessions that are all fresh."""
        name = "bash, jq and aws"
        if name not in self.found:
            return {}
        command = ["/usr/bin/env", str(HERE / "replaced-tool.sh"), self.found[name], "https://localhost"]
        return {"bash and jq, as the replaced tool did": Case(command, home.environment())}

    def refreshes(self, home: Home) -> dict[str, Case]:
        """One refresh of the one session in `home`."""
        granted = home.granted[home.names[0]]
        members = {"client-id": "clientId", "client-secret": "clientSecret", "refresh-token": "refreshToken"}
        words = ["--region", REGION, "--endpoint-url", home.server.endpoint, "--grant-type", "refresh_token"]
        words += [word for option, key in members.items() for word in (f"--{option}", granted[key])]
        cases = {}
        for name in ("AWS CLI v2", "AWS CLI v1"):
            if name in self.found:
                command = [self.found[name], "sso-oidc", "create-token", *words]
                cases[f"`{self.names[name]} sso-oidc create-token`"] = Case(command, home.environment())
        if "botocore" in self.found:
            config = home.folder / "botocore-config"
            profile = f"\n[profile bench]\nsso_session = {home.names[0]}\nregion = {REGION}\n"
            config.write_text((home.folder / ".aws/config").read_text() + profile)
            environment = home.environment() | {"AWS_CONFIG_FILE": str(config)}
            command = [self.found["botocore"], "-c", BOTOCORE_REFRESH]
            cases[self.names["botocore"]] = Case(command, environment, home.make_due, home.check_refreshed)
        name = "bash, jq and aws"
        if name in self.found:
            command = ["/usr/bin/env", str(HERE / "replaced-tool.sh"), self.found[name], home.server.endpoint]
            label = f"bash, jq and {self.names.get('AWS CLI v2', 'aws')}, as the replaced tool did"
            cases[label] = Case(command, home.environment(), home.make_due, home.check_refreshed)
        return cases


def request_body(home: Home) -> pathlib.Path:
    """The body that a refresh of the one session in `home` posts, in a file."""
    granted = home.granted[home.names[0]]
    body = {"clientId": granted["clientId"], "clientSecret": granted["clientSecret"]}
    body |= {"grantType": "refresh_token", "refreshToken": granted["refreshToken"]}
    path = home.folder / "body.json"
    path.write_text(json.dumps(body))
    return path
