"""The AWS tools that share the token cache with us: how each is had, and how each is made to use a session.

Everything is installed into one folder and kept there for the next time, by the package managers' ordinary clients.
"""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from typing import Any

from lab import COMMAND_SECONDS, MINUTE, Home, Server, Unavailable, run

HERE = pathlib.Path(__file__).resolve().parent
BOTOCORE_DRIVER = HERE / "drivers/botocore_driver.py"
INSTALL_SECONDS = 600
BUILD_SECONDS = 1800  # the Rust SDK, one crate after another


class Driver:
    """A tool's process that answers one question after another, each with a token provider of its own."""

    def __init__(self, command: list, environment: dict[str, str], profile_prefix: str):
        self.profile_prefix = profile_prefix
        # A file, because nobody reads what it grumbles, and a full pipe would stop it.
        self.grumbling = tempfile.TemporaryFile("w+")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, stderr=self.grumbling, text=True
        )

    def begin(self, want: str, session: str, delay: float = 0) -> None:
        asked = {"want": want, "profile": self.profile_prefix + session, "delay": delay}
        # One that has ended says why when it is asked for its answer.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()

    def end(self) -> dict:
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.grumbling.seek(0)
        return {"error": "the driver ended: " + self.grumbling.read()}

    def ask(self, want: str, session: str) -> dict:
        self.begin(want, session)
        return self.end()

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(COMMAND_SECONDS)
        self.process.stdout.close()
        self.grumbling.close()


class Tool:
    """In what the clients of the token cache differ; what is claimed here, the matrix checks."""

    name: str
    version = "?"
    is_quick = False  # part of the short run
    agent: str  # how its User-Agent begins, once it is installed
    writes = "in place"
    keeps_unknown = False
    keeps_refresh_token = False  # where an answer brings none
    reads_nulls = True  # a known member that is null spoils the file for it, otherwise
    refreshes_at = 4 * MINUTE  # seconds left at which every one of them but Go's is about to refresh
    profile_prefix = "dev-"
    can_sign_in = False
    can_sign_out = False

    def install(self, folder: pathlib.Path) -> None:
        """Makes it ready, or raises `Unavailable`."""
        raise NotImplementedError

    def environment(self, home: Home, server: Server) -> dict[str, str]:
        return home.direct(server)

    def driver_command(self) -> list:
        raise NotImplementedError

    def driver(self, home: Home, server: Server) -> Driver:
        return Driver(self.driver_command(), self.environment(home, server), self.profile_prefix)

    def use(self, home: Home, server: Server, session: str = "work") -> None:
        """Gets role credentials, as a program that uses the tool does: by the token, which is refreshed when due."""
        driver = self.driver(home, server)
        try:
            told = driver.ask("credentials", session)
        finally:
            driver.stop()
        assert told.get("accessKeyId", "").startswith("ASIA"), told


class Botocore(Tool):
    agent = "Botocore/"

    def __init__(self, name: str, requirement: str, folder: str, writes: str, is_quick: bool = False):
        self.name, self.requirement, self.folder_name = name, requirement, folder
        self.writes, self.is_quick = writes, is_quick

    def install(self, folder: pathlib.Path) -> None:
        self.python = python_with(folder / self.folder_name, self.requirement)
        self.version = run([self.python, "-c", "import botocore; print(botocore.__version__)"], {}).strip()
        self.agent = f"Botocore/{self.version}"

    def driver_command(self) -> list:
        return [self.python, BOTOCORE_DRIVER, "botocore"]


class Cli(Tool):
    """A command line tool: each use is a run of it."""

    program: str
    shows_key = '"AccessKeyId": "ASIA'

    def use_command(self, session: str) -> list:
        return [self.program, "configure", "export-credentials", "--profile", self.profile_prefix + session]

    def use(self, home: Home, server: Server, session: str = "work") -> None:
        home.forget_role_credentials()
        told = run(self.use_command(session), self.environment(home, server))
        assert self.shows_key in told, told


class AwsCli2(Cli):
    name = "AWS CLI v2"
    agent = "aws-cli/2"
    is_quick = True
    can_sign_in = True
    can_sign_out = True

    def install(self, folder: pathlib.Path) -> None:
        self.program, self.version = find_aws_cli_2()

    def environment(self, home: Home, server: Server) -> dict[str, str]:
        # What Debian has knows no setting for one service's endpoint.
        return home.proxied(server)

    def sign_out(self, home: Home, server: Server) -> None:
        run([self.program, "sso", "logout"], self.environment(home, server))

    def driver_command(self) -> list:
        """Its own copy of botocore, where it is a Python program; starting it anew takes a second each time."""
        with open(self.program, "rb") as file:
            found = re.match(rb"#!(\S*python\S*)", file.readline(200))
        if not found:
            raise Unavailable("this AWS CLI v2 is no Python program that could be kept running")
        return [found[1].decode(), BOTOCORE_DRIVER, "awscli.botocore", "aws-cli", self.version]


class AwsCli1(Cli):
    """It can neither sign in nor out: its `sso logout` is the service's bare operation."""

    name = "AWS CLI v1"
    agent = "aws-cli/1"
    writes = "by renaming"

    def install(self, folder: pathlib.Path) -> None:
        python = python_with(folder / "awscli-1", "awscli")
        self.program = str(python.parent / "aws")
        self.python = python
        self.version = run([self.program, "--version"], {}).split()[0].removeprefix("aws-cli/")

    shows_key = "=ASIA"

    def use_command(self, session: str) -> list:
        """It has no `export-credentials`; a presigned address shows whose key it is signed with."""
        return [self.program, "s3", "presign", "s3://bucket/key", "--profile", self.profile_prefix + session]

    def driver_command(self) -> list:
        return [self.python, BOTOCORE_DRIVER, "awscli.botocore", "aws-cli", self.version]


class JavaScript(Tool):
    name = "JS SDK v3"
    is_quick = True
    agent = "aws-sdk-js/"
    keeps_unknown = True
    packages = ("@aws-sdk/token-providers", "@aws-sdk/credential-provider-sso")

    def install(self, folder: pathlib.Path) -> None:
        node, npm = shutil.which("node"), shutil.which("npm")
        if not node or not npm:
            raise Unavailable("no node and npm on PATH; on Debian: apt-get install nodejs npm")
        self.node, self.folder = node, (folder / "js").resolve()
        package = self.folder / "node_modules" / self.packages[0] / "package.json"
        if not package.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "package.json").write_text('{"private": true}\n')
            install([npm, "install", "--no-audit", "--no-fund", "--loglevel=error", *self.packages], cwd=self.folder)
        self.version = json.loads(package.read_text())["version"]

    def driver_command(self) -> list:
        return [self.node, HERE / "drivers/js_driver.cjs", self.folder]


class Rust(Tool):
    name = "Rust SDK"
    agent = "aws-sdk-rust/"
    keeps_refresh_token = True

    def install(self, folder: pathlib.Path) -> None:
        cargo = shutil.which("cargo")
        if not cargo:
            raise Unavailable("no cargo on PATH")
        target = (folder / "rust-sdk").resolve()
        # One crate at a time: whoever tests interop has other work for the machine. The newest versions are meant to
        # be tested, so no lock file is kept in the repository.
        project = target / "project"
        shutil.copytree(HERE / "rust-sdk", project, dirs_exist_ok=True)
        install([cargo, "build", "--quiet", "-j1", "--target-dir", target], seconds=BUILD_SECONDS, cwd=project)
        self.program = target / "debug/interop-rust-sdk"
        lock = (project / "Cargo.lock").read_text()
        self.version = "aws-config " + re.search(r'name = "aws-config"\nversion = "([^"]+)"', lock)[1]

    def driver_command(self) -> list:
        return [self.program]


class Go(Tool):
    name = "Go SDK v2"
    agent = "aws-sdk-go-v2/"
    writes = "by renaming"
    keeps_unknown = True
    reads_nulls = False
    refreshes_at = -MINUTE  # only after the end
    profile_prefix = "token-"  # this version's role credentials know only profiles of the old form
    sources = pathlib.Path("/usr/share/gocode/src/github.com/aws/aws-sdk-go-v2")

    def install(self, folder: pathlib.Path) -> None:
        go = shutil.which("go")
        if not go or not self.sources.is_dir():
            raise Unavailable(
                "no Go with the SDK; on Debian: apt-get install golang-go golang-github-aws-aws-sdk-go-v2-dev"
            )
        target = (folder / "go-sdk").resolve()
        target.mkdir(parents=True, exist_ok=True)
        self.program = target / "interop-go-sdk"
        # The Debian package is made for builds by GOPATH, without modules and without a network.
        settings = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOCACHE": str(target / "cache")}
        settings |= {"GOFLAGS": "-p=1", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(target)}
        command = [go, "build", "-o", self.program, HERE / "drivers/go_driver.go"]
        install(command, seconds=BUILD_SECONDS, env=settings)
        version = (self.sources / "aws/go_module_metadata.go").read_text()
        self.version = re.search(r'goModuleVersion = "([^"]+)"', version)[1]

    def environment(self, home: Home, server: Server) -> dict[str, str]:
        # This version knows no setting for one service's endpoint.
        return home.proxied(server)

    def driver_command(self) -> list:
        return [self.program]


ALL: list[Tool] = [
    Botocore("botocore", "botocore", "botocore-current", "by renaming", is_quick=True),
    Botocore("botocore before 1.42", "botocore<1.42", "botocore-old", "in place"),
    AwsCli2(),
    AwsCli1(),
    JavaScript(),
    Rust(),
    Go(),
]


def install(command: list, seconds: float = INSTALL_SECONDS, **more: Any) -> None:
    """Its output matters only when it fails; then the last line is the reason."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **more)
    except (OSError, subprocess.SubprocessError) as err:
        raise Unavailable(str(err)) from err
    if ran.returncode != 0:
        told = (ran.stderr.strip() or ran.stdout.strip() or "no reason given").splitlines()
        raise Unavailable(f"{pathlib.Path(command[0]).name} failed: {told[-1]}")


def python_with(folder: pathlib.Path, requirement: str) -> pathlib.Path:
    """The interpreter of a virtual environment that has this."""
    folder = folder.resolve()
    python, done = folder / "bin/python", folder / "installed"
    if not done.exists():
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.SubprocessError) as err:
            raise Unavailable(f"no virtual environment: {err}; on Debian: apt-get install python3-venv") from err
        install([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement])
        done.touch()
    return python


def find_aws_cli_2() -> tuple[str, str]:
    """A CLI of version 2, wherever it is, and its version; version 1 cannot sign in."""
    for folder in (None, "/usr/local/bin", "/usr/bin"):
        program = shutil.which("aws", path=folder)
        if program is None:
            continue
        told = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        if told.startswith("aws-cli/2."):
            return program, told.split()[0].removeprefix("aws-cli/")
    raise Unavailable("no AWS CLI v2; on Debian: apt-get install awscli")


def main() -> int:
    """Installs what the arguments name, or everything: a cache can be filled ahead of the tests."""
    folder = pathlib.Path("target/interop")
    for tool in ALL:
        if len(sys.argv) > 1 and tool.name not in sys.argv[1:]:
            continue
        try:
            tool.install(folder)
            print(f"{tool.name:22} {tool.version}")
        except Unavailable as err:
            print(f"{tool.name:22} SKIPPED: {err}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
