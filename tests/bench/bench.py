#!/usr/bin/env python3
"""Measures what the program costs, next to other programs on the same machine, and holds it to the contract's bounds.

usage: bench.py [--quick] [--binary PATH] [--server PATH] [--output FOLDER]

Whole processes, in interleaved runs (ABABAB…): medians, the ratio of the medians, and between which ratios the middle
half of the pairs lies. Only ratios decide; times are shown. What cannot be had here is SKIPPED, with the reason.
Writes results.md and cost.svg. The exit status is 1 where a bound is broken; `--quick`, with too few runs to
tell, only shows that the bench works.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import Iterator

import peers as peers_module
import plot
from lab import Home, Server
from measure import HERE, Bench, Case, Figures, Unavailable, compiled, compiled_rust_nothing, instructions, ratio, system_calls

REPOSITORY = HERE.parents[1]
STATUS_SESSIONS = (1, 10, 100, 1_000, 10_000)
DUE_SESSIONS = (1, 10, 30, 100)
DELAYS = (0, 50, 300)  # milliseconds that the server takes

# Rounds: full, quick.
ROUNDS = {"check": (400, 20), "status": (60, 1), "refresh": (80, 4), "due": (7, 1), "peers": (7, 1), "peer checks": (40, 2)}

NOTHING_C, NOTHING_RUST = "a static program that does nothing (C)", "a static program that does nothing (Rust, musl)"
CHECK, VERSION = "a check of 3 sessions", "`version`"
REFRESH, CURL = "a silent refresh", "`curl`, the same POST"


class Report:
    """What is printed and written: Markdown that reads well in a terminal."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bounds: list[tuple[str, str, str, bool]] = []

    def say(self, text: str = "") -> None:
        self.lines.append(text)
        print(text, flush=True)

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

        def line(cells: list[str]) -> str:
            padded = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, widths))]
            return f"| {' | '.join(padded)} |"

        rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
        for text in (line(head), f"| {' | '.join(rule)} |", *map(line, rows)):
            self.say(text)
        self.say()

    def bound(self, what: str, found: str, limit: str, holds: bool) -> None:
        self.bounds.append((what, found, limit, holds))

    def skip(self, what: str, why: object) -> None:
        self.say(f"SKIPPED {what}: {why}")
        self.say()


class Costs:
    """The parts of the bench; each measures, reports and notes the bounds it stands for."""

    def __init__(self, program: str, server: pathlib.Path, rounds: dict[str, int], folder: pathlib.Path, kept: pathlib.Path):
        self.program, self.server_program, self.rounds = program, server, rounds
        self.folder, self.kept = folder, kept
        self.bench = Bench(folder)
        self.report = Report()
        self.peers = peers_module.Peers(kept)
        self.homes = 0
        self.counted: dict[str, tuple[Case, Figures]] = {}

    def home(self, sessions: int, server: Server | None = None) -> Home:
        self.homes += 1
        return Home(self.folder / f"home-{self.homes}", sessions, server)

    def case(self, home: Home, *words: str) -> Case:
        return Case([self.program, *words], home.environment())

    def refresh_case(self, home: Home) -> Case:
        command = [self.program, "refresh", "--scheduled"]
        return Case(command, home.environment(), home.make_due, home.check_refreshed)

    @contextlib.contextmanager
    def served(self, delay: int = 0) -> Iterator[Server]:
        server = Server(self.server_program, self.folder, delay)
        try:
            yield server
        finally:
            server.stop()

    def checks(self) -> None:
        say, home = self.report.say, self.home(3)
        say("## A check with nothing due")
        say()
        cases = {NOTHING_C: Case([str(compiled("nothing", self.folder))], {})}
        try:
            cases[NOTHING_RUST] = Case([str(compiled_rust_nothing(self.folder))], {})
        except Unavailable as why:
            self.report.skip(NOTHING_RUST, why)
        nothings = list(cases)
        cases |= {VERSION: self.case(home, "version"), CHECK: self.case(home, "refresh", "--scheduled")}
        figures = self.bench.interleaved(self.rounds["check"], cases)
        nothing = min(nothings, key=lambda name: figures[name].median)
        self.report.table(["", "ms", "times the quickest that does nothing", "peak memory"], against(figures, nothing))
        self.check_home, self.nothing = home, figures[nothing].median
        self.counted |= {name: (cases[name], figures[name]) for name in (nothing, CHECK)}
        times = ratio(figures[CHECK], figures[nothing])
        self.report.bound("a check of 3 sessions, against a program that does nothing", str(times), "3", times.of_medians <= 3)
        memory = figures[CHECK].memory * 1024
        self.report.bound("its peak memory", megabytes(figures[CHECK].memory), "3 MB", memory <= 3_000_000)

    def status(self) -> None:
        say = self.report.say
        say("## `status` of many sessions")
        say()
        cases = {CHECK: self.case(self.check_home, "refresh", "--scheduled")}
        cases |= {f"{count:,}": self.case(self.home(count), "status") for count in STATUS_SESSIONS}
        figures = self.bench.interleaved(self.rounds["status"], cases)
        points = [(count, figures[f"{count:,}"].median) for count in STATUS_SESSIONS]
        start, each = fit(points)
        rows = []
        for count, median in points:
            expected = start + each * count
            one = figures[f"{count:,}"]
            off = f"{(median / expected - 1) * 100:+.0f} %"
            rows.append([f"{count:,}", f"{median:.2f}", f"{expected:.2f}", off, megabytes(one.memory)])
        self.report.table(["sessions", "ms", "the straight line", "off by", "peak memory"], rows)
        say(f"The line: {start:.2f} ms and {each * 1000:.1f} µs for each session, fitted to all points by relative distance.")
        say()
        self.status_points = points
        for count in (1, 1_000):
            name = f"{count:,}"
            label = f"`status` of {name} session{'s' if count > 1 else ''}"
            self.counted[label] = cases[name], figures[name]
        times = ratio(figures["1,000"], figures[CHECK])
        self.report.bound("`status` of 1,000 sessions, against a check of 3", str(times), "20", times.of_medians <= 20)
        taken = dict(points)
        late = (taken[10_000] - taken[1_000]) / 9_000
        early = (taken[1_000] - taken[100]) / 900
        # A straight line has 1; work that grows with the square would have 11.
        bend = late / early
        self.report.bound("a session among 10,000, against one among 1,000", f"{bend:.2f}", "1.5", bend <= 1.5)

    def refresh(self) -> None:
        say = self.report.say
        say("## One silent refresh over TLS 1.3 on loopback")
        say()
        with self.served() as server:
            home = self.home(1, server)
            cases = {REFRESH: self.refresh_case(home)}
            curl = shutil.which("curl")
            if curl is None:
                self.report.skip("the comparison with curl", "it is not installed")
            else:
                body = peers_module.request_body(home)
                words = [curl, "--silent", "--show-error", "--fail", "--http1.1", "--tlsv1.3", "--tls-max", "1.3"]
                words += ["--cacert", server.ca, "--header", "Content-Type: application/json", "--data-binary", f"@{body}"]
                cases[CURL] = Case([*words, f"{server.endpoint}/token"], home.environment())
            figures = self.bench.interleaved(self.rounds["refresh"], cases)
            baseline = CURL if CURL in cases else REFRESH
            self.report.table(["", "ms", f"times {baseline}", "peak memory"], against(figures, baseline))
            say("The refresh also takes a lock, makes room, writes the token, syncs it to disk four times and logs.")
            say()
            self.counted |= {name: (cases[name], figures[name]) for name in cases}
            self.levels = {"curl, one POST": figures[CURL].median} if CURL in cases else {}
            if CURL in cases:
                times = ratio(figures[REFRESH], figures[CURL])
                self.report.bound("a silent refresh, against `curl` doing its POST", str(times), "1", times.of_medians <= 1)
            self.count(REFRESH, CURL)
            self.compare_peers(home, cases)

    def compare_peers(self, home: Home, cases: dict[str, Case]) -> None:
        say = self.report.say
        say("## Other ways to do it")
        say()
        for name, why in self.peers.skipped.items():
            self.report.skip(name, why)
        checks = {CHECK: self.case(self.check_home, "refresh", "--scheduled")} | self.peers.checks(self.check_home)
        if len(checks) > 1:
            figures = self.bench.interleaved(self.rounds["peer checks"], checks)
            self.report.table(["a check of 3 sessions, none due", "ms", "times ours", "peak memory"], against(figures, CHECK))
        starts, refreshes = self.peers.starts(home), self.peers.refreshes(home)
        if not refreshes:
            return
        figures = self.bench.interleaved(self.rounds["peers"], {REFRESH: cases[REFRESH]} | refreshes | starts)
        self.report.table(["one refresh", "ms", "times ours", "peak memory"], against(figures, REFRESH))
        for name in starts:
            self.levels[name.strip("`")] = figures[name].median

    def due(self) -> None:
        say = self.report.say
        say("## Many due sessions")
        say()
        with contextlib.ExitStack() as stack:
            cases = {}
            for delay in DELAYS:
                server = stack.enter_context(self.served(delay))
                cases |= {f"{count} at {delay}": self.refresh_case(self.home(count, server)) for count in DUE_SESSIONS}
            figures = self.bench.interleaved(self.rounds["due"], cases)
            rows = []
            for count in DUE_SESSIONS:
                taken = [figures[f"{count} at {delay}"] for delay in DELAYS]
                rows.append([str(count), *(f"{one.median:.0f}" for one in taken), megabytes(taken[0].memory)])
            head = ["due sessions", *(f"ms, server takes {delay} ms" for delay in DELAYS), "peak memory"]
            self.report.table(head, rows)
            self.due_points = {delay: [(n, figures[f"{n} at {delay}"].median) for n in DUE_SESSIONS] for delay in DELAYS}
            times = ratio(figures["30 at 300"], figures["1 at 300"])
            self.report.bound("30 due sessions of 300 ms each, against one", str(times), "2", times.of_medians <= 2)
            label = "30 silent refreshes"
            self.counted[label] = cases["30 at 0"], figures["30 at 0"]
            self.count(label)

    def count(self, *names: str) -> None:
        """Counts work while what it needs is there; the table comes later."""
        for name in names:
            if name not in self.counted:
                continue
            case, figures = self.counted[name]
            row = [name]
            for counter in (instructions, system_calls):
                try:
                    row.append(f"{counter(case):,}")
                except Unavailable as why:
                    row.append("SKIPPED")
                    self.missing[counter.__name__.replace("_", " ")] = str(why)
            self.work.append([*row, megabytes(figures.memory)])

    def work_table(self) -> None:
        self.report.say("## Work")
        self.report.say()
        for what, why in self.missing.items():
            self.report.skip(what, why)
        self.report.table(["", "instructions", "system calls", "peak memory"], self.work)

    def sizes(self) -> None:
        self.report.say("## Sizes")
        self.report.say()
        rows = []
        for path in sorted((REPOSITORY / "dist").glob("aws-sso-refresh-*.tar.gz")):
            folder = path.name.removesuffix(".tar.gz")
            with tarfile.open(path) as archive:
                size = archive.getmember(f"{folder}/aws-sso-refresh").size
            target = folder.split("-", 4)[-1]
            rows.append([target, f"{size:,}", f"{path.stat().st_size:,}"])
            self.report.bound(f"the size of the program for {target}", f"{size:,}", "999,999", size < 1_000_000)
        if rows:
            self.report.table(["release", "program, bytes", "archive, bytes"], rows)
        else:
            self.report.skip("the release binaries", "dist/ has none; `make dist` builds them")

    def run(self) -> None:
        self.work: list[list[str]] = []
        self.missing: dict[str, str] = {}
        self.checks()
        self.status()
        self.count(*self.counted)
        self.refresh()
        self.due()
        self.work_table()
        self.sizes()

    def plot(self) -> str:
        colours = dict(zip(DELAYS, ("red0", "red1", "red2")))
        series = [plot.Series("status", "blue", self.status_points)]
        for delay, points in self.due_points.items():
            label = f"refresh of all, server takes {delay} ms"
            series.append(plot.Series(label, colours[delay], points))
        levels = {"doing nothing": self.nothing} | self.levels
        return plot.draw("What it costs", "wall time of the whole process, medians, against the number of sessions", series, levels)


def against(figures: dict[str, Figures], baseline: str) -> list[list[str]]:
    rows = []
    for name, one in figures.items():
        times = "1" if name == baseline else str(ratio(one, figures[baseline]))
        rows.append([name, f"{one.median:.2f}", times, megabytes(one.memory)])
    return rows


def fit(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Start and slope of the line nearest to the points, each distance taken relative to its point: else the largest
    alone would decide."""
    weights = [1 / value**2 for _, value in points]
    total = sum(weights)
    x = sum(w * count for w, (count, _) in zip(weights, points)) / total
    y = sum(w * value for w, (_, value) in zip(weights, points)) / total
    slope = sum(w * (count - x) * (value - y) for w, (count, value) in zip(weights, points))
    slope /= sum(w * (count - x) ** 2 for w, (count, _) in zip(weights, points))
    return y - slope * x, slope


def megabytes(kilobytes: int) -> str:
    return f"{kilobytes * 1024 / 1e6:.1f} MB"


def machine(program: str, folder: pathlib.Path) -> list[list[str]]:
    def first(command: list[str]) -> str:
        try:
            return (subprocess.run(command, capture_output=True, text=True).stdout.splitlines() or [""])[0]
        except OSError:
            return "none"

    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), cpu)
    file_system = "unknown"
    with contextlib.suppress(OSError):
        mounts = [line.split()[1:3] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        inside = [(len(at), kind) for at, kind in mounts if folder.resolve().is_relative_to(at)]
        file_system = max(inside)[1]
    commit = first(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"])
    load = os.getloadavg()
    return [
        ["date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")],
        ["commit", commit],
        ["program", f"{first([program, 'version'])}, {pathlib.Path(program).stat().st_size:,} bytes, {linkage(program)}"],
        ["compiler", first(["rustc", "--version"])],
        ["machine", f"{cpu}, {os.cpu_count()} cores, {platform.machine()}"],
        ["system", f"{platform.system()} {platform.release()}, {file_system}"],
        ["load before", f"{load[0]:.1f}"],
        ["curl", " ".join(first(["curl", "--version"]).split()[:2])],
    ]


def linkage(program: str) -> str:
    """Whether the loader has to fetch libraries, which costs more than everything else in a check."""
    content = pathlib.Path(program).read_bytes()
    return "dynamically linked" if b"\0/lib64/ld-" in content or b"\0/lib/ld-linux" in content else "static"


def default_binary() -> str:
    """The release build for this machine where `make size` has made one: that is what users get."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    name = "aws-sso-refresh"
    sized = sorted(target.glob(f"dist/{platform.machine()}-*-musl/*/{name}")) + sorted(target.glob(f"{platform.machine()}-*-musl/*/{name}"))
    return str(sized[0] if sized else target / "release" / name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few runs, which decide nothing: shows that the bench works")
    parser.add_argument("--binary", default=default_binary(), help="the program to measure")
    parser.add_argument("--server", type=pathlib.Path, default=REPOSITORY / "target/release/examples/identity-center")
    parser.add_argument("--output", type=pathlib.Path, help="where results.md and cost.svg go")
    options = parser.parse_args()

    kept = REPOSITORY / "target/bench"
    kept.mkdir(parents=True, exist_ok=True)
    output = options.output or (kept if options.quick else HERE)
    rounds = {name: quick if options.quick else full for name, (full, quick) in ROUNDS.items()}
    # In the target folder and not in /tmp, which may be memory: syncing is part of a refresh.
    with tempfile.TemporaryDirectory(dir=kept) as name:
        folder = pathlib.Path(name)
        program = str(pathlib.Path(options.binary).resolve())
        costs = Costs(program, options.server.resolve(), rounds, folder, kept)
        report = costs.report
        report.say("# What it costs")
        report.say()
        report.say("Written by `make bench`: whole processes in interleaved runs, medians, and in brackets the middle half of")
        report.say("the ratios pair by pair.")
        report.say()
        report.table(["", "where this was measured"], [[key, value] for key, value in machine(program, folder)])
        head = len(report.lines)
        costs.run()
        (output / "cost.svg").write_text(costs.plot())
    body, report.lines = report.lines[head:], report.lines[:head]
    report.say("## Bounds")
    report.say()
    rows = [[what, found, limit, "✓" if holds else "✗"] for what, found, limit, holds in report.bounds]
    report.table(["", "found", "at most", ""], rows)
    (output / "results.md").write_text("\n".join([*report.lines, *body]).rstrip() + "\n")
    if options.quick:
        print("Too few runs to hold anybody to them.")
        return 0
    return 0 if all(holds for *_, holds in report.bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
