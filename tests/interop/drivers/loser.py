#!/usr/bin/env python3
"""Stands in for our program and loses tokens: spends the refresh token, then writes back what it had read.

The race must put this down to it, or it would find nothing in our program either.
"""

import hashlib
import json
import os
import pathlib
import ssl
import sys
import time
import urllib.request

session = sys.argv[sys.argv.index("--session") + 1]
name = hashlib.sha1(session.encode()).hexdigest()
path = pathlib.Path(os.environ["HOME"]) / f".aws/sso/cache/{name}.json"
text = path.read_text()
token = json.loads(text)
body = {name: token[name] for name in ("clientId", "clientSecret", "refreshToken")} | {"grantType": "refresh_token"}
headers = {"User-Agent": "aws-sso-refresh/0", "Content-Type": "application/json"}
url = os.environ["AWS_ENDPOINT_URL_SSO_OIDC"] + "/token"
context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
try:
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), context=context)
except OSError:
    pass  # refused: somebody else was first, and is overwritten all the same
time.sleep(0.2)
path.with_suffix(".new").write_text(text)
path.with_suffix(".new").rename(path)
