#!/usr/bin/env python3
"""What is linked into a release binary, as CycloneDX 1.6 (a software bill of materials), on standard output.

    sbom.py TARGET BINARY

Beside BINARY lies what cargo wrote down when it linked it (-Zsbom): each crate, those of the standard library too, and
who uses whom. What only ran while building is left out. Licences are what the crates' manifests say, checksums what the
lock files do; who uses the standard library is not said of each. The same binary gives the same bytes: there is no
serial number, and the time is SOURCE_DATE_EPOCH.
"""

import datetime
import glob
import hashlib
import json
import os
import re
import sys
import tomllib

STANDARD_LIBRARY = "/lib/rustlib/src/rust/library/"
RUST = "https://github.com/rust-lang/rust"


def read_toml(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def sha256(path):
    with open(path, "rb") as file:
        return [{"alg": "SHA-256", "content": hashlib.file_digest(file, "sha256").hexdigest()}]


def licensed(expression):
    return [{"expression": expression.replace("/", " OR ")}]  # as crates wrote it before SPDX


def manifest_of(name, version):
    """Of a crate that cargo has unpacked to build it."""
    home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    found, *_ = glob.glob(f"{glob.escape(home)}/registry/src/*/{name}-{version}/Cargo.toml")
    return read_toml(found)["package"]


def registry_crate(name, version, checksums):
    return {
        "type": "library",
        "bom-ref": f"pkg:cargo/{name}@{version}",
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": checksums[name, version]}],
        "licenses": licensed(manifest_of(name, version)["license"]),
        "purl": f"pkg:cargo/{name}@{version}",
    }


def standard_library(rustc):
    return {
        "type": "library",
        "bom-ref": f"pkg:github/rust-lang/rust@{rustc['version']}",
        "name": "rust-standard-library",
        "version": rustc["version"],
        "licenses": licensed("(MIT OR Apache-2.0) AND MIT AND Apache-2.0 WITH LLVM-exception"),
        "purl": f"pkg:github/rust-lang/rust@{rustc['version']}",
        "externalReferences": [{"type": "vcs", "url": f"{RUST}/tree/{rustc['commit_hash']}"}],
    }


def musl(library):
    """The C library of the static binaries, as the toolchain brings it."""
    with open(library, "rb") as file:
        version = re.search(rb"\0(1\.\d+\.\d+)\0", file.read())[1].decode()
    return {
        "type": "library",
        "bom-ref": f"pkg:generic/musl@{version}",
        "name": "musl",
        "version": version,
        "hashes": sha256(library),
        "licenses": licensed("MIT"),
        "purl": f"pkg:generic/musl@{version}",
    }


def main():
    target, binary = sys.argv[1:]
    with open(f"{binary}.cargo-sbom.json", encoding="utf-8") as file:
        built = json.load(file)
    crates = built["crates"]
    library = next(c["id"] for c in crates if STANDARD_LIBRARY in c["id"]).split(STANDARD_LIBRARY)[0]
    library = library.removeprefix("path+file://") + STANDARD_LIBRARY
    locked = [p for lock in ["Cargo.lock", f"{library}Cargo.lock"] for p in read_toml(lock)["package"]]
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in locked}
    package = read_toml("Cargo.toml")["package"]
    program = {
        "type": "application",
        "bom-ref": f"pkg:cargo/{package['name']}@{package['version']}",
        "name": package["name"],
        "version": package["version"],
        "hashes": sha256(binary),
        "licenses": licensed(package["license"]),
        "purl": f"pkg:github/{package['repository'].removeprefix('https://github.com/')}@v{package['version']}",
        "properties": [{"name": "target", "value": target}],
    }

    def component(crate):
        if STANDARD_LIBRARY in crate["id"]:
            return standard_library(built["rustc"])
        if crate["id"].startswith("path+"):
            return program
        return registry_crate(*crate["id"].split("#")[1].split("@"), checksums)

    linked = [built["root"]]
    uses = {}
    for index in linked: # which grows meanwhile
        used = [d["index"] for d in crates[index]["dependencies"] if d["kind"] == "normal"]
        linked += [index for index in used if index not in linked]
        refs = {component(crates[index])["bom-ref"] for index in used}
        uses.setdefault(component(crates[index])["bom-ref"], set()).update(refs)
    components = [component(crates[index]) for index in linked]
    std = standard_library(built["rustc"])["bom-ref"]
    for ref in uses.keys() - {program["bom-ref"]}:
        uses[ref].discard(std)
    if target.endswith("-musl"):
        libc = musl(f"{library.split('/src/')[0]}/{target}/lib/self-contained/libc.a")
        components.append(libc)
        uses[std].add(libc["bom-ref"])
        uses[libc["bom-ref"]] = set()
    components = {c["bom-ref"]: c for c in components if c is not program}

    time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.UTC)
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "component": program,
        },
        "components": [components[ref] for ref in sorted(components)],
        "dependencies": [{"ref": ref, "dependsOn": sorted(uses[ref])} for ref in sorted(uses)],
    }
    print(json.dumps(bill, indent=2))


main()
