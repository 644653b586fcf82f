#!/usr/bin/env python3
"""Pictures of the real program in a real terminal, for the README: SVG made of what tmux has on its screen.

usage: shots.py [--program PROGRAM] [--server SERVER] [--into FOLDER]

The program runs in a throw-away home against the embedded Identity Center; where a user manager of systemd can be had
(tests/with-user-systemd.sh), its job is installed there. What is on each picture is checked before it is drawn. The
pictures of the sign-in's pages are those of `make browser`. What cannot be had is SKIPPED, with the reason.
"""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))

import lab  # noqa: E402
from lab import MINUTE, REGION, START_URL, Server, sign_in_text  # noqa: E402
from svg import picture  # noqa: E402

SECONDS = 30
COLUMNS = 90
LINES = 70


class Desk:
    """A shell in a home of its own, fed line by line, and a terminal beside it."""

    def __init__(self, command, program, server, thrown_away=None):
        self.thrown_away = thrown_away
        quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.shell = subprocess.Popen(command, **quiet)
        self.home = self.run('mkdir -p "$HOME/.aws/sso/cache" "$HOME/.local/bin" && printf %s "$HOME"')
        self.put(".local/bin/aws-sso-refresh", pathlib.Path(program).read_bytes(), "755")
        self.put("ca.pem", pathlib.Path(server.ca).read_bytes())
        self.shots = 0
        variables = {
            "AWS_CA_BUNDLE": f"{self.home}/ca.pem",
            "AWS_ENDPOINT_URL_SSO_OIDC": server.endpoint,
            "AWS_ENDPOINT_URL_SSO": server.endpoint,
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color",
            "PS1": "$ ",
            "SHELL": "/bin/sh",
        }
        exported = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        self.run(f'export {exported} "PATH=$HOME/.local/bin:$PATH"')

    def run(self, line):
        """What a line of shell prints, which must succeed."""
        self.shell.stdin.write(f"{{ {line}\n}} 2>&1; printf '\\n-- ended %s\\n' $?\n")
        self.shell.stdin.flush()
        text = ""
        while not (told := self.shell.stdout.readline()).startswith("-- ended"):
            if not told:
                raise lab.Unavailable(f"the shell ended with {self.shell.wait()}")
            text += told
        assert told == "-- ended 0\n", f"{line}: {text}"
        return text.removesuffix("\n")

    def put(self, path, content, mode="600"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            pathlib.Path(file.name).chmod(0o644)
            self.run(f'install -m {mode} {shlex.quote(file.name)} "$HOME/{path}"')

    def sessions(self, tokens):
        """A config with these sessions; each has the text of its token file, or none."""
        keys = f"sso_start_url = {START_URL}\nsso_region = {REGION}\nsso_registration_scopes = sso:account:access\n"
        config = "\n".join(f"[sso-session {name}]\n{keys}" for name in tokens)
        self.put(".aws/config", config.encode())
        for name, text in tokens.items():
            if text:
                self.put(f".aws/sso/cache/{lab.token_name(name)}", text.encode())

    def shot(self, line, *wanted):
        """The screen after `line` was typed, as soon as everything `wanted` is on it, in this order."""
        # A server that was told to end takes a moment to, so each has a socket of its own.
        self.shots += 1
        self.tmux = f"tmux -f /dev/null -S {shlex.quote(self.home)}/tmux-{self.shots}"
        self.run(f"{self.tmux} new-session -d -x {COLUMNS} -y {LINES} 'exec bash --norc --noprofile' \\; set status off")
        try:
            self.screen("$")
            self.run(f"{self.tmux} send-keys -l {shlex.quote(line)} \\; send-keys Enter")
            # The prompt that waits for the next line is no part of it.
            return self.screen(*wanted).removesuffix("\n$")
        finally:
            self.run(f"{self.tmux} kill-server")

    def screen(self, *wanted):
        deadline = time.monotonic() + SECONDS
        while True:
            screen = self.run(f"{self.tmux} capture-pane -e -p").rstrip()
            at, plain = 0, re.sub("\x1b[^m]*m", "", screen)
            for part in wanted:
                at = plain.find(part, at) if at >= 0 else at
            if at >= 0:
                return screen
            assert time.monotonic() < deadline, f"not all of {wanted} on the screen:\n{plain}"
            time.sleep(0.1)

    def stop(self):
        self.shell.stdin.close()
        self.shell.wait(10)
        if self.thrown_away:
            shutil.rmtree(self.thrown_away)


def shoot_status(desk, server):
    def granted(seconds, **changed):
        return sign_in_text(server.control("sign_in"), seconds, **changed)

    gone = {name: ... for name in ("refreshToken", "clientId", "clientSecret")}
    desk.sessions({
        "my-company": granted(52 * MINUTE + 30),
        "my-client": granted(12 * MINUTE + 30),
        "billing": granted(-5 * MINUTE - 30),
        "old-tool": granted(42 * MINUTE + 30, refreshToken=...),
        "partner": granted(-80 * MINUTE, **gone),
        "last-year": granted(-300 * 24 * 60 * MINUTE, **gone),
        "unused": None,
        "half-written": '{"accessToken": "',
    })
    return desk.shot("aws-sso-refresh status", "52m remaining", "12m remaining", "expired 5m ago", "in 42m",
                     "aws-sso-refresh login partner", "dormant", "signed out", "unreadable", "Threshold", "\n$")


def shoot_refresh(desk, server):
    ended = server.control("sign_in")
    server.control("end_session", refreshToken=ended["refreshToken"])
    desk.sessions({
        "my-company": sign_in_text(server.control("sign_in"), 52 * MINUTE + 30),
        "my-client": sign_in_text(server.control("sign_in"), 12 * MINUTE + 30),
        "billing": sign_in_text(server.control("sign_in"), -95 * MINUTE),
        "partner": sign_in_text(ended, 8 * MINUTE + 30),
    })
    return desk.shot("aws-sso-refresh refresh --no-login", "52m remaining", "refreshed: ", "refreshed: ",
                     "sign-in needed", "To sign in again", "\n$")


def shoot_refreshing(desk, server):
    sessions = [f"account-{number:02}" for number in range(1, 31)]
    desk.sessions({name: sign_in_text(server.control("sign_in"), 5 * MINUTE) for name in sessions})
    server.control("fault", fault="delay", milliseconds=8_000, times=12)
    return desk.shot("aws-sso-refresh", "Refreshing 30 sessions", "18 done", "3s")


def shoot_login(desk, server):
    desk.sessions({"my-company": None})
    return desk.shot("aws-sso-refresh login --device-code --no-browser", "Signing in to my-company", "Waiting for you")


def shoot_doctor(desk, server):
    ended = server.control("sign_in")
    desk.sessions({
        "my-company": sign_in_text(server.control("sign_in"), 52 * MINUTE + 30),
        "my-client": sign_in_text(server.control("sign_in"), 12 * MINUTE + 30, registrationExpiresAt=...),
        "partner": sign_in_text(ended, -80 * MINUTE, refreshToken=...),
    })
    desk.run("chmod 644 \"$HOME\"/.aws/sso/cache/3a5a*; export AWS_SSO_REFRESH_THRESHOLD=20")
    return desk.shot("aws-sso-refresh doctor", "my-company", "registrationExpiresAt", "partner", "Network", "Job",
                     "problem", "\n$")


def desk_of(program, server):
    """With a job that has run once, where there is a systemd for it."""
    try:
        desk = Desk([HERE.parent / "with-user-systemd.sh", "nobody", "sh"], program, server)
        desk.run("aws-sso-refresh install && systemctl --user start --wait aws-sso-refresh.service")
        return desk
    except lab.Unavailable as why:
        print(f"SKIPPED the installed job on the pictures: no user manager of systemd ({why})", flush=True)
    home = tempfile.mkdtemp(prefix="shots-")
    return Desk(["env", "-i", f"HOME={home}", "PATH=/usr/local/bin:/usr/bin:/bin", "sh"], program, server, home)


def take_pages(pictures, into):
    """The page that a browser shows in the end, as `make browser` has seen it."""
    for scheme in ("light", "dark"):
        page = pictures / f"success-{scheme}.png"
        if not page.exists():
            raise lab.Unavailable("no pictures of make browser")
        shutil.copy(page, into / f"signed-in-{scheme}.png")


def main():
    parser = lab.parser(__doc__)
    parser.add_argument("--into", type=pathlib.Path, default=HERE, help="where the pictures go")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    if shutil.which("tmux") is None:
        print("SKIPPED screenshots: no tmux; on Debian: apt-get install tmux", file=sys.stderr)
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(arguments.server, pathlib.Path(folder))
        for shoot in (shoot_status, shoot_refresh, shoot_refreshing, shoot_login, shoot_doctor):
            name = shoot.__name__.removeprefix("shoot_")
            desk = desk_of(arguments.program, server)
            try:
                path = arguments.into / f"{name}.svg"
                path.write_text(picture(shoot(desk, server), COLUMNS, "aws-sso-refresh"))
                print(f"ok      {path}", flush=True)
            except lab.Unavailable as why:
                print(f"SKIPPED {name}: {why}", flush=True)
            except AssertionError as err:
                failed += 1
                print(f"FAILED  {name}: {err}", flush=True)
            finally:
                desk.stop()
        server.stop()
    try:
        take_pages(arguments.work.parent / "pictures", arguments.into)
    except lab.Unavailable as why:
        print(f"SKIPPED signed-in: {why}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
