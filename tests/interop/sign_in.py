#!/usr/bin/env python3
"""Our sign-in for other tools, and theirs for us: botocore, the AWS CLI v2 and the JS SDK.

usage: sign_in.py [--program PROGRAM] [--server SERVER] [--work FOLDER]

Exit code 1 when a check failed; a tool that cannot be had is SKIPPED, with the reason.
"""

import subprocess
import sys
import time
import traceback

import lab
import tools
from lab import COMMAND_SECONDS, Unavailable, laboratory


def our_sign_in(program, server, home):
    """`aws-sso-refresh login` with a code; this script is the person with the browser."""
    command = [program.path, "login", "work", "--device-code", "--no-browser"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    login = subprocess.Popen(command, env=home.direct(server), **streams)
    deadline = time.monotonic() + COMMAND_SECONDS
    while login.poll() is None and time.monotonic() < deadline:
        for code in server.stats()["waitingUserCodes"]:
            server.control("approve_device", userCode=code)
        time.sleep(0.2)
    told, errors = login.communicate(timeout=10)
    assert login.returncode == 0 and "Signed in to work" in told, told + errors


def check_clean(server):
    stats = server.stats()
    assert (stats["spentTwice"], stats["violations"]) == (0, []), stats


def check_it_uses_and_refreshes_our_sign_in(tool, program, server, home):
    our_sign_in(program, server, home)
    before = home.token()
    tool.use(home, server)
    assert home.token() == before, "it refreshed a fresh token"
    home.age(tool.refreshes_at)
    tool.use(home, server)
    assert home.token()["accessToken"] != before["accessToken"], "it did not refresh"
    home.age(60)
    assert "refreshed:" in program.refresh(home, server)
    tool.use(home, server)
    check_clean(server)


def check_we_refresh_its_sign_in_and_respect_its_sign_out(tool, program, server, home):
    lab.sign_in_with_device_code(tool.program, server, home)
    home.age(60)
    assert "refreshed:" in program.refresh(home, server)
    tool.use(home, server)
    # A sign-in over ours is theirs, whole; ours over theirs is ours.
    our_sign_in(program, server, home)
    lab.sign_in_with_device_code(tool.program, server, home)
    home.age(60)
    assert "refreshed:" in program.refresh(home, server)
    registrations = [path for path in home.cache.iterdir() if "accessToken" not in path.read_text()]
    assert len(registrations) == 2, "one of theirs and one of ours"
    tool.sign_out(home, server)
    asked = len(server.control("requests")["requests"])
    for _ in range(2):
        assert "signed out" in program.refresh(home, server)
    assert program.state(home, server) == "signedOut"
    assert len(server.control("requests")["requests"]) == asked, "it did not stay quiet"
    assert len(list(home.cache.iterdir())) == 2, "the registrations stay"
    check_clean(server)


def check_our_sign_out_is_one_for_it(tool, program, server, home):
    our_sign_in(program, server, home)
    tool.use(home, server)
    ran = program.run(home, server, "logout", "work")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert server.stats()["liveRefreshTokens"] == []
    try:
        tool.use(home, server)
    except AssertionError:
        return
    raise AssertionError("the token outlived its sign-out")


def main():
    arguments = lab.parser(__doc__).parse_args()
    program = lab.Program(arguments.program)
    failed = 0
    for tool in [tool for tool in tools.ALL if tool.is_quick]:
        try:
            tool.install(arguments.work)
        except Unavailable as err:
            print(f"SKIPPED {tool.name}: {err}", file=sys.stderr)
            continue
        checks = [check_it_uses_and_refreshes_our_sign_in, check_our_sign_out_is_one_for_it]
        if tool.can_sign_in:
            checks.append(check_we_refresh_its_sign_in_and_respect_its_sign_out)
        for check in checks:
            with laboratory(arguments.server) as (server, home):
                try:
                    check(tool, program, server, home)
                    print(f"ok      {tool.name} {tool.version}: {check.__name__}", flush=True)
                except Exception:
                    failed += 1
                    print(f"FAILED  {tool.name} {tool.version}: {check.__name__}", flush=True)
                    traceback.print_exc()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
