#!/usr/bin/env python3
"""Proves that the embedded Identity Center is wire-true to the clients AWS ships.

usage: check_identity_center.py [--server FILE] [--work FOLDER]

Lets real botocore and the AWS CLI v1 (from PyPI) and the real AWS CLI v2 talk to it. What cannot be had is SKIPPED,
with the reason on standard error. Exit code 1 when a check failed.
"""

import json
import re
import subprocess
import sys
import traceback

import lab
import tools
from lab import ACCOUNT, COMMAND_SECONDS, MINUTE, REGION, START_URL, Home, Unavailable
from lab import run, sign_in_text, sign_in_with_device_code


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


# Runs in the interpreter of the venv that has botocore.
OPERATIONS = """
import sys, botocore.session
session = botocore.session.Session(profile="dev-work")
oidc = session.create_client("sso-oidc", region_name="eu-west-1")
registered = oidc.register_client(clientName="check", clientType="public", scopes=["sso:account:access"])
client = {name: registered[name] for name in ("clientId", "clientSecret")}
assert registered["clientSecretExpiresAt"] - registered["clientIdIssuedAt"] == 90 * 86400, registered
granted = oidc.create_token(grantType="refresh_token", **GRANTED)
assert granted["expiresIn"] == 3600 and granted["tokenType"] == "Bearer" and granted["refreshToken"], granted

def refused(operation, exception, error, **members):
    try:
        operation(**members)
    except exception as err:
        assert type(err) is exception and err.response["error"] == error, err.response
        return
    raise AssertionError("not refused: " + error)

create, known = oidc.create_token, oidc.exceptions
refused(create, known.InvalidGrantException, "invalid_grant", grantType="refresh_token", **GRANTED)
wrong = dict(GRANTED, clientSecret="other")
refused(create, known.InvalidClientException, "invalid_client", grantType="refresh_token", **wrong)
refused(create, known.UnsupportedGrantTypeException, "unsupported_grant_type", grantType="password", **GRANTED)

device = oidc.start_device_authorization(startUrl="https://d-1234567890.awsapps.com/start", **client)
poll = dict(client, grantType="urn:ietf:params:oauth:grant-type:device_code", deviceCode=device["deviceCode"])
refused(create, known.AuthorizationPendingException, "authorization_pending", **poll)
refused(create, known.AuthorizationPendingException, "authorization_pending", **poll)
refused(create, known.SlowDownException, "slow_down", **poll)

portal = session.create_client("sso", region_name="eu-west-1")
token = granted["accessToken"]
assert [a["accountId"] for a in portal.list_accounts(accessToken=token)["accountList"]] == ["123456789012"]
roles = portal.list_account_roles(accessToken=token, accountId="123456789012")["roleList"]
assert [role["roleName"] for role in roles] == ["Developer"]
role = portal.get_role_credentials(accessToken=token, accountId="123456789012", roleName="Developer")
assert role["roleCredentials"]["accessKeyId"].startswith("ASIA")
portal.logout(accessToken=token)
try:
    portal.list_accounts(accessToken=token)
    raise AssertionError("the token outlived its logout")
except portal.exceptions.UnauthorizedException:
    pass
"""

FROZEN_TOKEN = """
import botocore.session
session = botocore.session.Session(profile="dev-work")
print(session.get_auth_token().get_frozen_token().token)
"""

ROLE_CREDENTIALS = """
import botocore.session
print(botocore.session.Session(profile="dev-work").get_credentials().get_frozen_credentials().access_key)
"""


def check_botocore_operations(tool, server, home):
    granted = server.control("sign_in")
    names = ("clientId", "clientSecret", "refreshToken")
    program = f"GRANTED = {({name: granted[name] for name in names})!r}\n{OPERATIONS}"
    run([tool.python, "-c", program], home.direct(server))
    equal(server.stats()["spentTwice"], 1)
    # The password grant above is on purpose the one thing that no correct client sends.
    violations = server.stats()["violations"]
    equal([why.split(": ")[1] for why in violations], ["unsupported_grant_type"])


def check_botocore_refreshes_a_due_token(tool, server, home):
    granted = server.control("sign_in")
    home.write(sign_in_text(granted, 5 * MINUTE))
    token = run([tool.python, "-c", FROZEN_TOKEN], home.direct(server)).strip()
    equal(home.token()["accessToken"], token)
    assert token != granted["accessToken"], "botocore kept the old token"
    equal(server.stats()["neverPresented"], [home.token()["refreshToken"]])
    body = json.loads(server.requests("/token")[0]["body"])
    equal(sorted(body), ["clientId", "clientSecret", "grantType", "refreshToken"])
    equal(server.stats()["violations"], [])


def check_botocore_keeps_a_valid_token_when_refused(tool, server, home):
    granted = server.control("sign_in")
    home.write(sign_in_text(granted, 5 * MINUTE))
    before = home.text()
    server.control("end_session", refreshToken=granted["refreshToken"])
    equal(run([tool.python, "-c", FROZEN_TOKEN], home.direct(server)).strip(), granted["accessToken"])
    equal(home.text(), before)
    equal([seen["status"] for seen in server.requests("/token")], [400])


def check_botocore_gets_role_credentials(tool, server, home):
    home.write(sign_in_text(server.control("sign_in"), 50 * MINUTE))
    equal(run([tool.python, "-c", ROLE_CREDENTIALS], home.direct(server)).strip()[:4], "ASIA")
    equal(len(server.requests("/federation/credentials")), 1)
    equal(server.stats()["violations"], [])


def check_cli_signs_in_and_out(tool, server, home):
    sign_in_with_device_code(tool.program, server, home)
    pending = [seen["status"] for seen in server.requests("/token")]
    assert pending[-1] == 200 and set(pending[:-1]) == {400}, pending
    token = home.token()
    equal(server.stats()["liveRefreshTokens"], [token["refreshToken"]])

    command = [tool.program, "sso", "list-accounts", "--access-token", token["accessToken"], "--region", REGION]
    accounts = json.loads(run([*command, "--output", "json"], home.proxied(server)))
    equal([account["accountId"] for account in accounts["accountList"]], [ACCOUNT])

    run([tool.program, "sso", "logout"], home.proxied(server))
    equal(server.stats()["liveRefreshTokens"], [])
    equal(home.token_path().exists(), False)
    equal(server.stats()["violations"], [])


def check_cli_without_scopes_gets_no_refresh_token(tool, server, home):
    home = Home(home.folder / "unscoped", scopes=None)
    sign_in_with_device_code(tool.program, server, home)
    equal("refreshToken" in home.token(), False)
    equal(server.stats()["grantedRefreshTokens"], 0)


def check_cli_uses_a_sign_in_for_role_credentials(tool, server, home):
    """`configure export-credentials` refreshes the due token and asks for the role; it needs no other service."""
    granted = server.control("sign_in")
    home.write(sign_in_text(granted, 5 * MINUTE))
    command = [tool.program, "configure", "export-credentials", "--profile", "dev-work"]
    credentials = json.loads(run(command, home.proxied(server)))
    equal(credentials["AccessKeyId"][:4], "ASIA")
    assert home.token()["accessToken"] != granted["accessToken"], "the CLI kept the old token"
    equal(server.stats()["spentTwice"], 0)
    equal(server.stats()["violations"], [])


def check_cli_single_operations(tool, server, home):
    def oidc(*words):
        command = [tool.program, "sso-oidc", *words, "--endpoint-url", server.endpoint, "--region", REGION]
        command += ["--output", "json"]
        result = subprocess.run(
            command, env=home.environment(server), capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        # A refusal is 254 in version 2 and 255 in version 1.
        assert result.returncode in (0, 254, 255), result.stderr
        return result

    client = json.loads(oidc("register-client", "--client-name", "c", "--client-type", "public").stdout)
    words = ["--client-id", client["clientId"], "--client-secret", client["clientSecret"]]
    device = json.loads(oidc("start-device-authorization", *words, "--start-url", START_URL).stdout)
    assert re.fullmatch(r"[A-Z]{4}-[A-Z]{4}", device["userCode"]), device
    refused = oidc("create-token", *words, "--grant-type", "refresh_token", "--refresh-token", "x")
    assert refused.returncode != 0 and "(InvalidGrantException)" in refused.stderr, refused
    equal(server.stats()["violations"], [])


def main():
    arguments = lab.parser(__doc__).parse_args()
    groups = [
        (tools.Botocore("botocore", "botocore", "botocore-current", "by renaming"), [
            check_botocore_operations,
            check_botocore_refreshes_a_due_token,
            check_botocore_keeps_a_valid_token_when_refused,
            check_botocore_gets_role_credentials,
        ]),
        (tools.AwsCli2(), [
            check_cli_single_operations,
            check_cli_signs_in_and_out,
            check_cli_without_scopes_gets_no_refresh_token,
            check_cli_uses_a_sign_in_for_role_credentials,
        ]),
        (tools.AwsCli1(), [check_cli_single_operations]),
    ]
    failed = 0
    for tool, checks in groups:
        try:
            tool.install(arguments.work)
            print(tool.name, tool.version)
        except Unavailable as err:
            print(f"SKIPPED {', '.join(check.__name__ for check in checks)}: {err}", file=sys.stderr)
            continue
        for check in checks:
            with lab.laboratory(arguments.server) as (server, home):
                try:
                    check(tool, server, home)
                    print("ok     ", check.__name__, flush=True)
                except Exception:
                    failed += 1
                    print("FAILED ", check.__name__, flush=True)
                    traceback.print_exc()
                    print(json.dumps(server.stats()["violations"]), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
