#!/usr/bin/env python3
"""Compares how botocore and aws-sso-refresh read the AWS config file.

Usage: config_differential.py [--cases N] [--seed N]

Writes N random configs, each also damaged by a few bytes, and the fixtures, with what botocore makes of them, to a
file of cases, and lets the test `botocore_reads_every_case_the_same` read them. Exits with 1 on any difference.
Without an importable botocore it makes a virtual environment and starts again in there; another Python with botocore
can also be used to run this script. A case that botocore refuses has to give a warning that says so.
"""

import argparse
import configparser
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROFILES = ["default", "p", "a b", ""]

HEADERS = """
[sso-session x] | [sso-session y] | [sso-session "x"] | [sso-session 'a b'] | [sso-session a\\ b] | [sso-session "a"'b']
[sso-session ""] | [sso-session] | [sso-session a b c] | [sso-session 'x] | [sso-session x\\] | [sso-session "a\\"b\\c"]
[sso-session\t x ] | [ sso-session x] | ["sso-session" x] | [SSO-SESSION x] | [sso-sessionfoo x] | [sso-session x] # c
[sso-session x] ; [y] | [sso-session x] junk | [sso-session a#b] | [sso-session é] | [sso-session x]y]
[profile p] | [profile "p"] | [profile 'a b'] | [profile ''] | [profilefoo p] | [profile default] | [default] | [default ]
[DEFAULT] | [DEFAULT] | [services s] | [services "s"] | [servicesfoo s] | [services t] | [foo] | []] | [[x]]
[sso-session\u00a0x] | [sso-session \u00a0x] | [sso-session x\u3000] | [sso-session x\x1c] | [\x1dsso-session x]
"""
COMMON = ["[sso-session x]", "[sso-session y]", "[profile p]", "[default]", "[services s]"]
BROKEN = """
[] | [x | [sso-session x | [sso-session x # see: y
"""
KEYS = """
sso_start_url | sso_start_url | sso_start_url | sso_region | sso_region | sso_region | SSO_REGION | sso_registration_scopes
sso_session | services | endpoint_url | ca_bundle | use_fips_endpoint | use_dualstack_endpoint | s3
ignore_configured_endpoint_urls | sso_oidc | sso | region | [x | É | \u0130 | \u03a3 | a b
"""
VALUES = """
https://d-1.awsapps.com/start | https://d-1.awsapps.com/start#/ | https://d-1.awsapps.com/start # c | http://h
HTTPS://H:443/x?y=1 | "https://h" | https://u:p@h | https:// | https://h:0 | https://h\u00a0 | https://h/é | h
us-east-1 | eu-west-1 | us-east-1 # c | us-east-1;c | 'us-east-1' | US-EAST-1 | -us | us- | 123 | us_east | us.east
sso:account:access | a:b, c:d ,, e | , | a\x1c,\x1db | x | y | a b | s | t | true | True | TRUE | false | 1 | ~/ca.pem
\u0130 | %(x)s | = | : | a = b | \ufeff | \x00 | \x0b | a\x0bb | \x1b[31m
"""
USUAL = {
    "sso-session": ["sso_start_url", "sso_region", "sso_registration_scopes"],
    "profile": ["sso_session", "services", "endpoint_url"],
    "default": ["sso_start_url", "sso_region", "use_fips_endpoint"],
    "services": ["sso_oidc", "sso"],
}
LIKELY = {
    "sso_start_url": ["https://d-1.awsapps.com/start", "https://d-1.awsapps.com/start#/", "HTTPS://H:443/x?y=1"],
    "sso_region": ["us-east-1", "eu-west-1", "US-EAST-1"],
    "sso_registration_scopes": ["sso:account:access", "a:b, c:d ,, e", ","],
    "sso_session": ["x", "y", "a b"],
    "services": ["s", "s", "t", "u"],
    "endpoint_url": ["https://h", "http://localhost:1"],
    "use_fips_endpoint": ["true", "TRUE", "false"],
    "use_dualstack_endpoint": ["true", "True", "no"],
}
LINES = """
# comment | ; comment | \t# comment | junk | = x | : x | [sso-session z] | a = b | A = b = c # d | endpoint_url = https://n
endpoint_url = http://localhost:1 | endpoint_url= | sso_region = us-west-2 | a\x0bb=c | a = b\x0cc = d | a = \u2028 | more
"""


def fragments(text):
    return [part.strip(" \n") for line in text.strip("\n").split("\n") for part in line.split(" | ")]


HEADERS, BROKEN, KEYS, VALUES, LINES = map(fragments, (HEADERS, BROKEN, KEYS, VALUES, LINES))


def random_config(rng):
    """Mostly well formed, so that botocore accepts a good part of them."""
    mess = rng.choice([0, 0, 0.05, 0.3])
    lines = []
    for _ in range(rng.randint(1, 5)):
        header = rng.choice(HEADERS if rng.random() < 0.6 else COMMON)
        if rng.random() < mess / 2:
            header = rng.choice(BROKEN)
        if header in lines and header != "[DEFAULT]" and rng.random() > mess:
            continue
        lines.append(header)
        indent = rng.choice(["", "", "", "  ", "\t", "\u3000"])
        keys = {key.lower(): key for key in rng.sample(KEYS, rng.randint(0, 6))}
        if rng.random() < 0.7:
            usual = USUAL.get(header.split(" ")[0].strip("[]"), [])
            keys = {**keys, **{key: key for key in usual}} if rng.random() < 0.5 else {key: key for key in usual}
        for key in keys.values():
            separator = rng.choice([" = ", "=", ": ", "\t=\t", " : "])
            nested = rng.random() < (0.9 if key in ("s3", "sso", "sso_oidc") else 0.1)
            likely = LIKELY.get(key, VALUES) if rng.random() < 0.8 else VALUES
            value = "" if nested else rng.choice(likely)
            lines.append(indent + key + separator + value)
            for _ in range(rng.choice([0, 0, 0, 0, 1, 2]) if not nested else rng.randint(0, 3)):
                below = rng.choice(["", " ", "\t"]) + indent + rng.choice(["  ", "\t", "\u00a0"])
                choice = [line for line in LINES if not nested or "=" in line or rng.random() < mess]
                lines.append(rng.choice(["", below + rng.choice(choice)]))
            if rng.random() < mess:
                lines.append(rng.choice(LINES + KEYS))
        lines += [""] * rng.randint(0, 1)
    end = rng.choice(["\n", "\n", "\n", "\r\n", "\r"])
    text = end.join(lines) + rng.choice(["", end])
    if rng.random() < mess / 10:
        text = "\ufeff" + text
    return text.encode()


def damaged(rng, text):
    text = bytearray(text)
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(text))
        if rng.random() < 0.5:
            del text[at : at + rng.randint(1, 3)]
        else:
            text[at:at] = rng.choice(
                [b" ", b"\n", b"\r", b"\t", b"[", b"]", b"=", b":", b"#", b";", b"'", b'"', b"\\", b"\0", b"\xff", b"x"]
            )
    return bytes(text)


def escape(text):
    if not isinstance(text, str):
        return "none"
    plain = (c if "!" <= c <= "~" and c not in "\\'" else "\\u{%x}" % ord(c) for c in text)
    return "'" + "".join(plain) + "'"


def is_start_url(text):
    """Our own rule, told a second time: an https URL without user info that carries no comment."""
    match = re.fullmatch(r"https://([^/?#]*)([/?#].*)?", text, re.IGNORECASE | re.DOTALL)
    if not match or re.search(r"[\x00-\x20\x7f]", text) or re.search(r"\s[#;]", text):
        return False
    host = re.fullmatch(r"([A-Za-z0-9._-]{1,253})(?::([0-9]*))?", match[1])
    return bool(host) and (not host[2] or 0 < int(host[2]) < 65536)


def is_region(text):
    return bool(re.fullmatch(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)", text))


def botocores_words(path):
    """The same words as `in_botocores_words` in src/sso/config.rs."""
    from botocore import configloader, exceptions, utils

    try:
        nested = configloader.raw_config_parse(path)
        plain = configloader.raw_config_parse(path, parse_subsections=False)
        defaults = configparser.RawConfigParser()
        defaults.read(path)
        for value in defaults.defaults().values():
            # botocore sees a broken block in [DEFAULT] only where a section inherits it; we always do.
            if value.startswith("\n") and any("=" not in line for line in value.splitlines() if line.strip()):
                return "refused"
    except exceptions.ConfigParseError:
        return "refused"
    words = []
    for header, values in plain.items():
        words.append("[%s]" % escape(header))
        for key in sorted(values):
            words.append("%s=%s" % (escape(key), escape(values[key])))
            inner = nested[header][key]
            if isinstance(inner, dict):
                words += ["(%s=%s)" % (escape(k), escape(inner[k])) for k in sorted(inner)]
    loaded = configloader.build_profile_map(plain)
    structured = configloader.build_profile_map(nested)
    assert structured == configloader.load_config(path)
    for name, values in loaded["sso_sessions"].items():
        start_url, region = values.get("sso_start_url"), values.get("sso_region")
        words += ["session", escape(name), escape(start_url), escape(region)]
        if start_url and region and is_start_url(start_url) and is_region(region):
            scopes = values.get("sso_registration_scopes", "").split(",")
            words += ["right", ",".join(escape(s.strip()) for s in scopes if s.strip())]
        else:
            words.append("wrong")
    for name, values in loaded["profiles"].items():
        start_url = values.get("sso_start_url")
        if start_url and not start_url.startswith("\n") and "sso_session" not in values:
            words += ["legacy", escape(name), escape(start_url), escape(values.get("sso_region"))]
    for name in PROFILES:
        values = loaded["profiles"].get(name)
        words += ["profile", escape(name), str(values is not None).lower()]
        values = values or {}
        words += [escape(values.get("endpoint_url") or None), escape(values.get("ca_bundle") or None)]
        for key in ("ignore_configured_endpoint_urls", "use_fips_endpoint", "use_dualstack_endpoint"):
            words.append(str(utils.ensure_boolean(values.get(key, ""))).lower())
        if "services" in values:
            section = structured["services"].get(values["services"])
            words += ["services", escape(values["services"]), str(bool(section)).lower()]
            for service in ("sso_oidc", "sso"):
                block = (section or {}).get(service)
                words.append(escape(isinstance(block, dict) and block.get("endpoint_url") or None))
    return " ".join(words) + " "


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        try:
            import botocore
        except ImportError:
            venv.create(folder / "venv", with_pip=True)
            python = folder / "venv" / "bin" / "python"
            subprocess.run([python, "-m", "pip", "install", "--quiet", "botocore"], check=True)
            return subprocess.run([python, *sys.argv], check=False).returncode
        if not sys.flags.utf8_mode:  # botocore reads the file in the default encoding
            environment = {**os.environ, "PYTHONUTF8": "1"}
            return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode
        rng = random.Random(arguments.seed)
        texts = [path.read_bytes() for path in sorted(ROOT.glob("fixtures/config/*.ini"))]
        fixtures = len(texts)
        while len(texts) < arguments.cases:
            texts.append(random_config(rng))
            texts.append(damaged(rng, rng.choice(texts)))
        config = folder / "config"
        refused = 0
        with open(folder / "cases", "w", encoding="ascii") as cases:
            for text in texts:
                config.write_bytes(text)
                words = botocores_words(str(config))
                refused += words == "refused"
                print(text.hex(), words, sep="\t", file=cases)
        print(
            f"botocore {botocore.__version__}, Python {sys.version.split()[0]}, seed {arguments.seed}: "
            f"{len(texts)} cases, {fixtures} of them fixtures, {refused} refused by botocore",
            flush=True,
        )
        command = ["cargo", "test", "--quiet", "botocore_reads_every_case_the_same"]
        environment = {**os.environ, "CONFIG_CASES": str(folder / "cases")}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
