"""Gets tokens and role credentials through botocore, as the lines of JSON on standard input ask.

Runs in the interpreter that has it. The arguments: the module, which is `botocore`, or `awscli.botocore` for the AWS
CLI v2's own copy; then the name and version that an AWS CLI adds to the User-Agent, if it stands for one.
"""

import importlib
import json
import sys
import time

module = sys.argv[1]
Session = importlib.import_module(f"{module}.session").Session
tokens = importlib.import_module(f"{module}.tokens")

# One session, whose service models are read once; a new token provider each time, because one waits a minute between
# two refreshes.
session = Session()
if len(sys.argv) > 2:
    session.user_agent_name, session.user_agent_version = sys.argv[2:]


def answer(want: str, profile: str, delay: float = 0) -> dict:
    time.sleep(delay)
    if want == "token":
        session.set_config_variable("profile", profile)
        token = tokens.SSOTokenProvider(session).load_token()
        return {"token": token.get_frozen_token().token}
    credentials = Session(profile=profile).get_credentials()
    return {"accessKeyId": credentials.get_frozen_credentials().access_key}


for line in sys.stdin:
    try:
        told = answer(**json.loads(line))
    except Exception as err:
        # Whatever a tool's user would see.
        told = {"error": f"{type(err).__name__}: {err}"}
    print(json.dumps(told), flush=True)
