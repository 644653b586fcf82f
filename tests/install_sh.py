#!/usr/bin/env python3
"""install.sh against a server on loopback, run by every shell at hand.

Real archives of `make dist` are served where there are some, else one made of the debug build. Each test has a home and a
temporary folder of its own, and a PATH that holds only what it names; afterwards the temporary folder is empty and
the home holds only what it should. macOS is played by `uname`, `sw_vers` and `sysctl` of the test's own.
"""

import hashlib
import http.server
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = (ROOT / "install.sh").read_bytes()
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
HOST = f"{platform.machine().replace('arm64', 'aarch64')}-unknown-linux-musl"
TARGETS = [f"{cpu}-{system}" for cpu in ("x86_64", "aarch64") for system in ("unknown-linux-musl", "apple-darwin")]

TOOLS = "cat chmod cp cut grep head mkdir mktemp mv rm sed sh sha256sum tar gzip touch uname".split()
SHELLS = [["bash"], ["bash", "--posix"], ["dash"], ["sh"], ["busybox", "sh"]]

# What the program does is not the matter here, only how it is called.
STAND_IN = """#!/bin/sh
echo "$*" >>"$HOME/calls"
cat >>"$HOME/stdin"
case $1 in
--version) echo "aws-sso-refresh VERSION" ;;
status) [ STATE = silent ] || echo '{"version":1,"sessions":[{"state":"fresh"}],"daemon":{"state":"STATE","pid":null}}'; exit 3 ;;
install | uninstall) exit EXIT ;;
esac
"""


def skipped(why):
    print(f"SKIPPED {why}", file=sys.stderr)


def stand_in(state="notInstalled", status=0, version=VERSION):
    return STAND_IN.replace("STATE", state).replace("EXIT", str(status)).replace("VERSION", version).encode()


def archive(program, target, version=VERSION):
    folder = f"aws-sso-refresh-{version}-{target}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data, mode in [("aws-sso-refresh", program, 0o755), ("LICENSE", b"MIT\n", 0o644)]:
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def real_archive():
    """Its target is this machine's."""
    made = ROOT / "dist" / f"aws-sso-refresh-{VERSION}-{HOST}.tar.gz"
    if made.exists():
        return made.read_bytes()
    skipped("the archive of make dist: there is none, so the debug build is packed")
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--bins"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return archive((target / "debug" / "aws-sso-refresh").read_bytes(), HOST)


class Releases:
    """Serves as GitHub does: `latest` is a redirection."""

    def __init__(self):
        self.files, self.asked, self.cut = {}, [], None

    def release(self, archives, version=VERSION, latest=True):
        names = {f"aws-sso-refresh-{version}-{target}.tar.gz": data for target, data in archives.items()}
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(names.items()))
        for name, data in [*names.items(), ("SHA256SUMS", sums.encode())]:
            self.files[f"/releases/download/v{version}/{name}"] = data
        if latest:
            self.files["/releases/latest/download/SHA256SUMS"] = f"/releases/download/v{version}/SHA256SUMS"

    def __enter__(self):
        releases = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                releases.asked.append(self.path)
                found = releases.files.get(self.path)
                if isinstance(found, str):
                    self.send_response(302)
                    self.send_header("Location", found)
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                self.send_response(404 if found is None else 200)
                found = found or b"<html>not found</html>"
                self.send_header("Content-Length", str(len(found)))
                self.end_headers()
                is_cut = releases.cut and self.path.endswith(".tar.gz")
                self.wfile.write(found[: releases.cut] if is_cut else found)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/releases"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class InstallSh(unittest.TestCase):
    def setUp(self):
        self.box = Path(tempfile.mkdtemp(prefix="install-sh."))
        self.addCleanup(shutil.rmtree, self.box)
        self.box.chmod(0o755)
        self.home = self.box / "höme of $me"
        self.bin = self.home / ".local/bin/aws-sso-refresh"
        self.path = self.box / "path"
        for folder in (self.home, self.path, self.box / "tmp", self.box / "cwd"):
            folder.mkdir()
        (self.box / "tmp").chmod(0o777)
        self.tools(*TOOLS, "curl")
        self.releases = Releases().__enter__()
        self.addCleanup(self.releases.__exit__)
        self.releases.release({HOST: archive(stand_in(), HOST)})

    def tools(self, *names):
        for name in names:
            real = shutil.which(name)
            if not real:
                self.skipTest(f"no {name}")
            (self.path / name).symlink_to(real)

    def without(self, *names):
        for name in names:
            (self.path / name).unlink()

    def fake(self, name, text):
        (self.path / name).unlink(missing_ok=True)
        (self.path / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.path / name).chmod(0o755)

    def run_script(self, *words, shell=("sh",), script=SCRIPT, user=None, **settings):
        shell = [shutil.which(shell[0]), *shell[1:], "-s", *(["--", *words] if words else [])]
        if user:
            shell = [shutil.which("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups", *shell]
        env = {"HOME": str(self.home), "PATH": str(self.path), "TMPDIR": str(self.box / "tmp"), "SHELL": "/bin/bash"}
        env |= {"AWS_SSO_REFRESH_BASE_URL": self.releases.url} | settings
        ended = subprocess.run(shell, input=script, env=env, cwd=self.box / "cwd", capture_output=True, timeout=60)
        self.out, self.err = ended.stdout.decode(), ended.stderr.decode()
        self.status = ended.returncode
        self.assertEqual(sorted(os.listdir(self.box / "tmp")), [], "left in TMPDIR")
        self.assertEqual(sorted(os.listdir(self.box / "cwd")), [], "left in the current folder")
        self.assertEqual([name for name in self.in_home() if ".aws-sso-refresh." in name], [], "a temporary file stays")
        return self

    def in_home(self):
        """The files, but for the stand-in's notes."""
        names = (path.relative_to(self.home) for path in self.home.rglob("*") if not path.is_dir())
        return sorted(str(name) for name in names if str(name) not in ("calls", "stdin"))

    def calls(self):
        notes = self.home / "calls"
        return notes.read_text().splitlines() if notes.exists() else []

    def assert_installed(self):
        self.assertEqual((self.status, self.err), (0, ""), self.out)
        self.assertEqual(self.in_home(), [".local/bin/aws-sso-refresh"])
        self.assertEqual(self.bin.stat().st_mode & 0o777, 0o755)

    def assert_refused(self, why):
        self.assertEqual(self.status, 1, self.out + self.err)
        self.assertRegex(self.err, r"(?m)^install\.sh: .*" + why)
        self.assertEqual(self.in_home(), [])

    # ---- what it is for

    def test_every_shell_installs_the_real_program(self):
        self.releases.release({HOST: real_archive()})
        for shell in SHELLS:
            with self.subTest(shell):
                if not shutil.which(shell[0]):
                    skipped(f"install.sh run by {' '.join(shell)}: it is not here")
                    continue
                shutil.rmtree(self.home / ".local", ignore_errors=True)
                self.run_script(shell=shell).assert_installed()
                self.assertIn("next:", self.out)
                said = subprocess.run([self.bin, "--version"], capture_output=True, check=True).stdout.decode()
                self.assertIn(VERSION, said)

    def test_a_version_can_be_chosen_and_may_begin_with_v(self):
        old = archive(stand_in(version="1.9.0"), HOST, "1.9.0")
        self.releases.release({HOST: old}, "1.9.0", latest=False)
        for version in ("1.9.0", "v1.9.0"):
            self.run_script(AWS_SSO_REFRESH_VERSION=version).assert_installed()
            self.assertIn("1.9.0", self.bin.read_text())
        self.run_script().assert_installed()
        self.assertNotIn("1.9.0", self.bin.read_text())

    def test_the_folder_can_be_chosen(self):
        self.run_script(AWS_SSO_REFRESH_BIN_DIR=f"{self.home}/my bin/")
        self.assertEqual(self.in_home(), ["my bin/aws-sso-refresh"])
        self.bin = self.home / "nothing"
        self.run_script(AWS_SSO_REFRESH_BIN_DIR="relative")
        self.assertIn("must be an absolute path", self.err)

    def test_files_can_be_served_from_a_folder(self):
        for path, data in self.releases.files.items():
            file = self.box / path[1:]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.releases.files[data] if isinstance(data, str) else data)
        self.run_script(AWS_SSO_REFRESH_BASE_URL=f"file://{self.box}/releases").assert_installed()

    def test_an_upgrade_leaves_the_running_program_alone(self):
        self.bin.parent.mkdir(parents=True)
        shutil.copy(shutil.which("sleep"), self.bin)
        before = self.bin.read_bytes()
        os.link(self.bin, self.home / "kept")
        running = subprocess.Popen([self.bin, "30"])
        try:
            self.run_script()
            self.assertEqual(self.status, 0, self.err)
            self.assertIsNone(running.poll())
        finally:
            running.kill()
            running.wait()
        self.assertNotEqual(self.bin.read_bytes(), before)
        self.assertEqual((self.home / "kept").read_bytes(), before, "the old file was written to")

    def test_wget_will_do(self):
        self.without("curl")
        self.tools("wget")
        self.run_script().assert_installed()

    def test_any_checksum_program_will_do(self):
        self.without("sha256sum")
        for name in ("shasum", "openssl"):
            with self.subTest(name):
                if not shutil.which(name):
                    skipped(f"install.sh with {name}: it is not here")
                    continue
                self.tools(name)
                if name == "shasum":
                    (self.path / "perl").symlink_to(shutil.which("perl"))
                self.run_script().assert_installed()
                self.without(name)

    # ---- machines

    def test_the_machine_decides_the_archive(self):
        self.releases.release({target: archive(stand_in(), target) for target in TARGETS})
        for system, cpu, translated, expected in [
            ("Linux", "x86_64", "", "x86_64-unknown-linux-musl"),
            ("Linux", "amd64", "", "x86_64-unknown-linux-musl"),
            ("Linux", "aarch64", "", "aarch64-unknown-linux-musl"),
            ("Linux", "arm64", "", "aarch64-unknown-linux-musl"),
            ("Darwin", "arm64", "0", "aarch64-apple-darwin"),
            ("Darwin", "x86_64", "1", "aarch64-apple-darwin"),  # under Rosetta
            ("Darwin", "x86_64", "0", "x86_64-apple-darwin"),
            ("Darwin", "x86_64", "", "x86_64-apple-darwin"),  # sysctl fails: an Intel Mac knows no such name
        ]:
            with self.subTest(system=system, cpu=cpu, translated=translated):
                self.fake("uname", f'case $1 in -s) echo {system} ;; -m) echo {cpu} ;; esac')
                self.fake("sw_vers", "echo 15.5")
                self.fake("sysctl", f"echo {translated}" if translated else "exit 1")
                self.run_script().assert_installed()
                self.assertIn(expected, self.releases.asked[-1])

    def test_a_machine_without_a_binary_is_told_so(self):
        self.fake("sw_vers", "echo 10.15.7")
        for system, cpu, why in [
            ("FreeBSD", "amd64", "no binary for FreeBSD"),
            ("Linux", "armv7l", "no binary for Linux on armv7l"),
            ("Darwin", "x86_64", "macOS 10.15.7 is too old"),
        ]:
            self.fake("uname", f'case $1 in -s) echo {system} ;; -m) echo {cpu} ;; esac')
            self.run_script().assert_refused(why)
        self.assertEqual(self.releases.asked, [])

    # ---- what may go wrong

    def change(self, ending, change):
        for path, data in self.releases.files.items():
            if path.endswith(ending) and isinstance(data, bytes):
                self.releases.files[path] = change(data)

    def test_a_wrong_checksum_is_refused(self):
        self.change(".tar.gz", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        self.run_script().assert_refused("is not what SHA256SUMS says")
        self.assertEqual(self.calls(), [])

    def test_a_missing_archive_is_told(self):
        self.releases.files = {path: data for path, data in self.releases.files.items() if "tar" not in path}
        self.run_script().assert_refused(f"cannot download .*{HOST}")

    def test_a_missing_release_is_told(self):
        self.run_script(AWS_SSO_REFRESH_VERSION="0.0.1").assert_refused("cannot download .*/v0.0.1/SHA256SUMS")

    def test_a_list_without_this_machine_is_told(self):
        self.change("SHA256SUMS", lambda data: data.replace(HOST.encode(), b"riscv64-unknown-linux-musl"))
        self.run_script().assert_refused("names no archive for")

    def test_a_page_instead_of_a_list_is_refused(self):
        self.change("SHA256SUMS", lambda _: b"<html>please sign in to the hotel</html>\n")
        self.run_script().assert_refused("names no archive for")

    def test_an_archive_that_ends_early_is_refused(self):
        self.releases.cut = 100
        self.run_script().assert_refused("cannot download|is not what")
        self.without("curl")
        self.tools("wget")
        self.run_script().assert_refused("cannot download|is not what")

    def test_a_program_that_does_not_run_leaves_the_old_one(self):
        self.releases.release({HOST: archive(b"#!/bin/sh\nexit 1\n", HOST)})
        self.run_script().assert_refused("does not run on this machine")
        self.bin.parent.mkdir(parents=True, exist_ok=True)
        self.bin.write_text("old")
        self.run_script()
        self.assertEqual((self.status, self.bin.read_text()), (1, "old"))

    def test_nothing_to_download_with_is_told(self):
        self.without("curl")
        self.run_script().assert_refused("neither curl nor wget")

    def test_nothing_to_verify_with_is_told(self):
        self.without("sha256sum")
        self.run_script().assert_refused("cannot be verified")

    def test_a_folder_that_cannot_be_made_is_told(self):
        (self.home / ".local").write_text("a file")
        self.run_script()
        self.assertEqual(self.status, 1)
        self.assertIn("install.sh: cannot make", self.err)
        self.assertEqual(self.in_home(), [".local"])

    def test_a_folder_that_cannot_be_written_to_is_told(self):
        self.bin.parent.mkdir(parents=True)
        self.bin.parent.chmod(0o555)
        user = None
        if os.getuid() == 0:
            if not shutil.which("setpriv"):
                self.skipTest("root may write anywhere, and there is no setpriv")
            user = 65534
        self.run_script(user=user).assert_refused("cannot write to")

    def test_a_folder_in_its_place_is_told(self):
        self.bin.mkdir(parents=True)
        self.run_script().assert_refused("is a folder")

    def test_unknown_words_are_refused(self):
        for words in (["--frobnicate"], ["--uninstall", "now"]):
            self.run_script(*words)
            self.assertEqual(self.status, 2)
            self.assertIn("usage: install.sh", self.err)
        self.run_script("--help")
        self.assertEqual((self.status, self.err), (0, ""))
        self.assertIn("AWS_SSO_REFRESH_BIN_DIR", self.out)
        self.assertEqual((self.in_home(), self.releases.asked), ([], []))

    def test_no_home_is_told(self):
        self.run_script(HOME="")
        self.assertIn("HOME is not set", self.err)

    # ---- a script that arrives in part

    def test_half_a_script_does_nothing(self):
        lines = SCRIPT.splitlines(keepends=True)
        cuts = [b"".join(lines[:count]) for count in range(len(lines))]
        last = lines[-1].rstrip()
        cuts += [b"".join(lines[:-1]) + last[:count] for count in range(1, len(last))]
        for shell in (["bash"], ["dash"]):
            if not shutil.which(shell[0]):
                skipped(f"half a script read by {shell[0]}: it is not here")
                continue
            for script in cuts:
                self.run_script(shell=shell, script=script)
                self.assertEqual((self.out, self.in_home(), self.releases.asked), ("", [], []), script[-60:])

    # ---- PATH

    def hint(self, **settings):
        shutil.rmtree(self.home / ".local", ignore_errors=True)
        self.run_script(**settings).assert_installed()
        self.assertIn("is not in PATH; to add it:", self.out)
        return re.search(r"to add it:\n  (.*)\n", self.out)[1]

    def test_the_line_for_path_works_in_the_users_shell(self):
        for shell, file in (("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", None)):
            with self.subTest(shell):
                line = self.hint(SHELL=f"/usr/bin/{shell}")
                real = shutil.which(shell)
                if not real:
                    skipped(f"the line for PATH in {shell}: it is not here")
                    continue
                env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
                subprocess.run([real, "-c", line], env=env, check=True, capture_output=True)
                ask = f". ~/{file}; command -v aws-sso-refresh" if file else "command -v aws-sso-refresh"
                found = subprocess.run([real, "-c", ask], env=env, capture_output=True).stdout.decode().strip()
                self.assertEqual(found, str(self.bin))
                for name in (".bashrc", ".zshrc", ".config", ".cache"):
                    path = self.home / name
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                # fish's own data lies beside the bin folder, which the next hint removes.

    def test_macos_bash_reads_another_file(self):
        self.releases.release({target: archive(stand_in(), target) for target in TARGETS})
        self.fake("uname", "case $1 in -s) echo Darwin ;; -m) echo arm64 ;; esac")
        self.assertIn("~/.bash_profile", self.hint(SHELL="/bin/bash"))
        self.assertIn("~/.zshrc", self.hint(SHELL="/bin/zsh"))

    def test_other_shells_are_told_in_general(self):
        for shell in ("/bin/tcsh", "/opt/nu", ""):
            self.assertIn("start-up file", self.hint(SHELL=shell))

    def test_a_folder_in_path_needs_no_hint(self):
        self.run_script(PATH=f"{self.path}:{self.bin.parent}").assert_installed()
        self.assertNotIn("PATH", self.out)
        self.assertIn("  aws-sso-refresh install ", self.out)

    def test_another_one_that_comes_first_is_told(self):
        self.fake("aws-sso-refresh", "exit 0")
        self.run_script(PATH=f"{self.path}:{self.bin.parent}").assert_installed()
        self.assertIn(f"another aws-sso-refresh comes first in PATH: {self.path}/aws-sso-refresh", self.out)
        self.assertIn(f"  {self.bin} install ", self.out)

    # ---- the job

    def with_job(self, state, status=0):
        self.releases.release({HOST: archive(stand_in(state, status), HOST)})
        return self.run_script()

    def test_a_job_that_would_die_is_installed_anew(self):
        for state in ("foreign", "programMissing"):
            self.with_job(state).assert_installed()
            self.assertEqual(self.calls()[-2:], ["status --json", "install"])

    def test_a_job_of_ours_is_left_alone(self):
        for state in ("waiting", "running", "disabled", "notLoaded", "notInstalled"):
            self.with_job(state).assert_installed()
            self.assertNotIn("cannot be told", self.out)
        self.assertNotIn("install", self.calls())

    def test_a_job_that_cannot_be_seen_is_said_and_left_alone(self):
        for state in ("unknown", "silent"):
            self.with_job(state).assert_installed()
            self.assertIn("cannot be told; see ", self.out)
        self.assertNotIn("install", self.calls())

    def test_a_job_that_cannot_be_installed_anew_is_told(self):
        self.with_job("foreign", status=1)
        self.assertEqual((self.status, self.in_home()), (1, [".local/bin/aws-sso-refresh"]))
        self.assertIn("the program is installed, the job is not", self.err)

    def test_the_program_is_not_fed_the_script(self):
        self.with_job("foreign").assert_installed()
        self.assertEqual((self.home / "stdin").read_bytes(), b"")

    def test_the_real_program_tells_a_job_of_the_bash_tool(self):
        """Which is then installed anew; as root, or without systemd, that cannot be."""
        unit = self.home / ".config/systemd/user/aws-sso-refresh.service"
        unit.parent.mkdir(parents=True)
        unit.write_text(f"[Service]\nExecStart=/bin/bash {self.bin}\n")
        self.releases.release({HOST: real_archive()})
        self.run_script()
        self.assertIn("the background job runs another program or one that has gone", self.out)

    # ---- away with it

    def test_uninstall_removes_job_and_program_and_says_what_stays(self):
        for shell in SHELLS:
            if shutil.which(shell[0]):
                self.with_job("waiting").assert_installed()
                data = self.home / ".local/share/aws-sso-refresh/refresh.log"
                data.parent.mkdir(parents=True, exist_ok=True)
                data.touch()
                self.run_script("--uninstall", shell=shell)
                self.assertEqual((self.status, self.err), (0, ""))
                self.assertEqual(self.in_home(), [".local/share/aws-sso-refresh/refresh.log"])
                self.assertEqual(self.calls()[-2:], ["status --json", "uninstall"])
                self.assertIn(f"kept: {data.parent}", self.out)
                shutil.rmtree(self.home / ".local")

    def test_uninstall_without_a_job_of_ours_removes_only_the_program(self):
        for state in ("notInstalled", "foreign"):
            self.with_job(state)
            self.run_script("--uninstall")
            self.assertEqual((self.status, self.in_home()), (0, []))
            self.assertNotIn("uninstall", self.calls())

    def test_a_job_that_cannot_be_seen_is_removed(self):
        for state in ("unknown", "silent"):
            self.with_job(state)
            self.run_script("--uninstall")
            self.assertEqual((self.status, self.in_home()), (0, []))
            self.assertEqual(self.calls()[-2:], ["status --json", "uninstall"])

    def test_a_job_that_cannot_be_removed_keeps_its_program(self):
        for state in ("waiting", "unknown", "silent"):
            self.with_job(state, status=1)
            self.run_script("--uninstall")
            self.assertEqual((self.status, self.in_home()), (1, [".local/bin/aws-sso-refresh"]))
            self.assertIn("the background job could not be removed", self.err)

    def test_a_setting_out_of_range_does_not_hide_the_job_of_the_real_program(self):
        """Its `uninstall` has nothing to remove here, or refuses root; either way it is asked, and believed."""
        self.releases.release({HOST: real_archive()})
        self.run_script(AWS_SSO_REFRESH_THRESHOLD="0").assert_installed()
        self.assertIn("cannot be told; see ", self.out)
        self.run_script("--uninstall", AWS_SSO_REFRESH_THRESHOLD="0")
        self.assertRegex(self.out + self.err, "There was no job|could not be removed")

    def test_uninstall_of_nothing_is_told(self):
        self.run_script("--uninstall").assert_refused("is not there")


class Lint(unittest.TestCase):
    def test_shellcheck_finds_nothing(self):
        if not shutil.which("shellcheck"):
            return skipped("shellcheck: it is not here")
        scripts = ["install.sh", ".ci/dist", ".ci/macos-job.sh"]
        subprocess.run(["shellcheck", *scripts], cwd=ROOT, check=True)


if __name__ == "__main__":
    if platform.system() != "Linux":
        sys.exit(skipped("install.sh: its tests play macOS themselves, on Linux"))
    unittest.main()
