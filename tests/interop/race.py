#!/usr/bin/env python3
"""Many at once: our runs and other tools refresh one session at the same moment, round after round; what gets lost?

usage: race.py [--rounds N | --short] [--lanes N] [--only WORD]... [--program FILE] [--server FILE] [--work FOLDER]

Each round is a new sign-in with a few minutes left, a token file as the AWS CLI writes it, and everybody starting
within a few hundredths of a second. Tokens live so short that whoever comes late finds the session due again. Three
kinds of service: `rotate` gives a refresh token that is good once; `keep` gives the same one again, so that all who ask
are granted and all write; `omit` gives none, and the old one stays good.

With `rotate`, nobody but the holder of the one live token can lose it: who was refused writes nothing. With `keep`,
in-place writers can spoil each other's file. With `omit`, most tools drop the refresh token from the file: that is lost
by them, whatever we do.

A round is lost when the file then holds no refresh token that the service still takes. Whose loss that is, is told by
what the service saw (who presented which token, by User-Agent), by what the file holds, and by who touched it last (the
kernel's notices of the folder). Exit code 1 when we lost one, raised a false alarm, or sent what no client should.
"""

import argparse
import collections
import concurrent.futures
import ctypes
import dataclasses
import json
import os
import random
import struct
import subprocess
import sys
import time
import typing

import lab
import tools
from lab import MINUTE, Home, Server, Unavailable

OURS = "aws-sso-refresh"
BATCH = 100  # rounds with one server and one set of processes: its list of requests stays short
SPREAD = 0.06  # seconds within which everybody starts: about what a refresh takes
PROCESS_SPREAD = 0.8  # the same, where another tool's process must start first, which takes it about half of this
LIFETIME = 4 * MINUTE  # of a token: within every tool's window
SERVER_DELAY = "10"  # milliseconds between a token being spent and the answer: the time in which things get lost


# A tool, how many of it, and whether each is a new process each time; else they are kept running.
Other = tuple[tools.Tool, int, bool]


class Watch:
    """Who touched a token file: in-place writers, and renamers by the name that their file had before."""

    CLOSE_WRITE, MOVED_FROM, MOVED_TO, DELETE = 0x8, 0x40, 0x80, 0x200
    # Writes to a file that has been renamed over concern nobody.
    EXCL_UNLINK, NONBLOCK = 0x0400_0000, 0o4000

    def __init__(self, folder: os.PathLike):
        if not sys.platform.startswith("linux"):
            raise Unavailable("only Linux tells here who touched a file")
        libc = ctypes.CDLL(None, use_errno=True)
        self.file = libc.inotify_init1(self.NONBLOCK)
        mask = self.CLOSE_WRITE | self.MOVED_FROM | self.MOVED_TO | self.DELETE | self.EXCL_UNLINK
        if self.file < 0 or libc.inotify_add_watch(self.file, os.fsencode(folder), mask) < 0:
            raise Unavailable(f"inotify: {os.strerror(ctypes.get_errno())}")
        self.moved: dict[int, str] = {}

    def touches(self, name: str) -> list[str]:
        """What happened to the file of this name since the last call, in order."""
        found = []
        while True:
            try:
                data = os.read(self.file, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                _, mask, cookie, length = struct.unpack_from("iIII", data)
                there = data[16 : 16 + length].rstrip(b"\0").decode()
                data = data[16 + length :]
                if mask & self.MOVED_FROM:
                    self.moved[cookie] = there
                elif there == name and mask & self.MOVED_TO:
                    is_ours = self.moved.get(cookie, "").endswith(".new")
                    found.append(OURS if is_ours else "a renamer")
                elif there == name and mask & self.CLOSE_WRITE:
                    found.append("an in-place writer")
                elif there == name and mask & self.DELETE:
                    found.append("a remover")

    def close(self) -> None:
        os.close(self.file)


class Command:
    """A participant that is started anew each time."""

    def __init__(self, who: str, command: typing.Callable[[str], list], environment: dict[str, str]):
        self.who, self.command, self.environment = who, command, environment

    def begin(self, session: str) -> None:
        pipe = subprocess.PIPE
        command = self.command(session)
        self.process = subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def end(self) -> str | None:
        """What went wrong, as its user sees it."""
        stdout, stderr = self.process.communicate(timeout=lab.COMMAND_SECONDS)
        code = self.process.returncode
        return None if code == 0 else f"exit {code}: {stdout.strip()} {stderr.strip()}"


@dataclasses.dataclass
class Round:
    """What was there when everybody was done."""

    client: str  # the client id, which tells a round's requests from others'
    text: str | None  # of the token file
    live: set[str]  # refresh tokens that the service still takes
    touches: list[str]
    complaints: list[tuple[str, str]]  # who, what


@dataclasses.dataclass
class Spent:
    """One request for a token, as the service saw it."""

    who: str
    token: str
    granted: bool


@dataclasses.dataclass
class Tally:
    rounds: int = 0
    lost_by: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    granted: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    refused: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    complaints: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    examples: list[str] = dataclasses.field(default_factory=list)
    violations: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, mine + theirs)

    @property
    def lost_by_us(self) -> int:
        return self.lost_by[OURS]

    @property
    def lost_by_others(self) -> int:
        return sum(self.lost_by.values()) - self.lost_by_us

    @property
    def is_ours_clean(self) -> bool:
        """No loss, no alarm for a session that lives, and nothing on the wire that no correct client sends."""
        return not (self.lost_by_us or self.complaints[OURS] or self.violations)


def held(text: str | None) -> str | None:
    """The refresh token in a token file, if a tool could use the file at all."""
    try:
        token = json.loads(text or "")
    except ValueError:
        return None
    usable = isinstance(token, dict) and token.get("accessToken") and token.get("expiresAt")
    return token.get("refreshToken") if usable else None


def blame(done: Round, spent: list[Spent]) -> str | None:
    """Who lost the session in this round; `None`: nobody did.

    We did, when we touched the file last, or when we spent the token that is still in it: then nobody had changed it
    under us, and its successor was ours to store. Otherwise whoever touched it last did.
    """
    token = held(done.text)
    if token in done.live:
        return None
    last = done.touches[-1] if done.touches else "nobody who touched the file"
    if any(each.who == OURS and each.granted and each.token == token for each in spent):
        return OURS
    return last


def who(agent: str) -> str:
    if agent.startswith("aws-sso-refresh/"):
        return OURS
    return next((tool.name for tool in tools.ALL if agent.startswith(tool.agent)), agent.split("/")[0])


def requests_of(server: Server) -> dict[str, list[Spent]]:
    """The requests for tokens, by client id."""
    found = collections.defaultdict(list)
    for seen in server.requests("/token"):
        body = json.loads(seen["body"])
        agent = dict(seen["headers"]).get("user-agent", "")
        found[body["clientId"]].append(Spent(who(agent), body["refreshToken"], seen["status"] == 200))
    return found


def play(server: Server, home: Home, watch: Watch, session: str, drivers: list, commands: list, left: int) -> Round:
    """One round."""
    granted = server.control("sign_in")
    home.write(lab.sign_in_text(granted, left, vendor={"note": "kept"}), session)
    name = home.token_path(session).name
    watch.touches(name)
    for _, driver in drivers:
        driver.begin("token", session, random.uniform(0, SPREAD))
    started = time.monotonic()
    is_slow = any(command.who != OURS for command in commands)
    spreads = [PROCESS_SPREAD if is_slow and command.who == OURS else SPREAD for command in commands]
    delays = [random.uniform(0, spread) for spread in spreads]
    for delay, command in sorted(zip(delays, commands), key=lambda pair: pair[0]):
        time.sleep(max(0, started + delay - time.monotonic()))
        command.begin(session)
    ends = [(who, driver.end().get("error")) for who, driver in drivers]
    ends += [(command.who, command.end()) for command in commands]
    complaints = [(who, what) for who, what in ends if what]
    complaints += [(OURS, f"left {path.name} behind") for path in home.cache.glob("*.new")]
    path = home.token_path(session)
    text = path.read_text(errors="replace") if path.exists() else None
    live = set(server.stats()["liveRefreshTokens"])
    done = Round(granted["clientId"], text, live, watch.touches(name), complaints)
    # The next rounds' runs look at every token file there is.
    path.unlink(missing_ok=True)
    return done


def batch(arguments: argparse.Namespace, service: str, ours: int, others: list[Other], rounds: int) -> Tally:
    """Some rounds with one server."""
    sessions = tuple(f"s{number}" for number in range(rounds))
    options = ["--refresh-tokens", service, "--token-lifetime", str(LIFETIME), "--server-delay", SERVER_DELAY]
    left = min([4 * MINUTE, *(tool.refreshes_at for tool, _, _ in others)])
    tally = Tally()
    with lab.laboratory(arguments.server, *options, sessions=sessions) as (server, home):
        watch, drivers = Watch(home.cache), []
        try:
            commands = [Command(OURS, command, home.direct(server)) for command in our_commands(arguments, ours)]
            for tool, count, is_process in others:
                if is_process:
                    environment = tool.environment(home, server)
                    commands += [Command(tool.name, tool.use_command, environment) for _ in range(count)]
                else:
                    drivers += [(tool.name, tool.driver(home, server)) for _ in range(count)]
            done = [play(server, home, watch, session, drivers, commands, left) for session in sessions]
            seen, stats = requests_of(server), server.stats()
        finally:
            watch.close()
            for _, driver in drivers:
                driver.stop()
    tally.rounds = rounds
    tally.violations = stats["violations"]
    for each in done:
        spent = seen[each.client]
        tally.granted.update(request.who for request in spent if request.granted)
        tally.refused.update(request.who for request in spent if not request.granted)
        culprit = blame(each, spent)
        # That a session is over may be said where it is lost; with `omit` also where the Rust SDK, which remembers the
        # refresh token, has brought it back since.
        is_told = bool(culprit) or service == "omit"
        complaints = [(who, what) for who, what in each.complaints if not (is_told and who == OURS)]
        tally.complaints.update(who for who, _ in complaints)
        tally.examples += [f"{who}: {what}" for who, what in complaints][:2]
        if culprit:
            tally.lost_by[culprit] += 1
            how = f"touched by {each.touches}, asked by {askers(spent)}, {session_file(each)}"
            tally.examples.append(f"lost by {culprit}: {how}")
    return tally


def askers(spent: list[Spent]) -> list[str]:
    return [f"{each.who} ({'granted' if each.granted else 'refused'} {each.token[:8]})" for each in spent]


def session_file(done: Round) -> str:
    """What became of the file, in a few words."""
    if done.text is None:
        return "the file is gone"
    token = held(done.text)
    return f"the file holds {token[:8]}" if token else f"the file has {len(done.text)} bytes and no refresh token"


def our_commands(arguments: argparse.Namespace, count: int) -> list[typing.Callable[[str], list]]:
    """Every third is forced: that one asks also when another has just refreshed."""
    def command(forced: bool) -> typing.Callable[[str], list]:
        return lambda session: [arguments.program, "refresh", "--session", session] + ["--force"] * forced

    return [command(number % 3 == 1) for number in range(count)]


@dataclasses.dataclass
class Race:
    name: str
    ours: int
    others: list[Other]
    share: float = 1.0  # of the rounds asked for
    services: tuple[str, ...] = ("rotate", "keep")


def races(installed: list[tools.Tool]) -> list[Race]:
    """Us alone, us against each tool, us against all, and all without us for comparison."""
    found = [Race("only we", 6, [])]
    for tool in installed:
        found.append(Race(f"we and {tool.name}", 2, [(tool, 2, False)]))
        if isinstance(tool, tools.AwsCli2):
            found.append(Race(f"we and {tool.name}, a process each", 2, [(tool, 2, True)], share=0.05))
    # One that waits for the end makes all others wait for it too.
    eager = [(tool, 1, False) for tool in installed if tool.refreshes_at > 0]
    if len(eager) > 1:
        found.append(Race("we and all of them", 2, eager, services=("rotate", "keep", "omit")))
        found.append(Race("all of them without us", 0, eager, services=("rotate", "keep", "omit")))
    return found


def start(
    arguments: argparse.Namespace, race: Race, service: str, rounds: int, pool: concurrent.futures.Executor
) -> list[concurrent.futures.Future]:
    """The race's batches, as futures."""
    rounds = max(1, round(rounds * race.share))
    sizes = [min(BATCH, rounds - begun) for begun in range(0, rounds, BATCH)]
    return [pool.submit(batch, arguments, service, race.ours, race.others, size) for size in sizes]


def total(parts: typing.Iterable[Tally]) -> Tally:
    found = Tally()
    for part in parts:
        found.add(part)
    return found


def counted(counter: collections.Counter) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"


def table(rows: list[tuple[str, str, Tally]]) -> str:
    lines = [
        "| who, all at once | service | rounds | lost by us | lost by others | refreshes granted | errors users see |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, service, tally in rows:
        others = counted(collections.Counter({who: n for who, n in tally.lost_by.items() if who != OURS}))
        cells = [name, service, str(tally.rounds), str(tally.lost_by_us), others]
        cells += [counted(tally.granted), counted(tally.complaints)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def report(name: str, service: str, tally: Tally) -> None:
    verdict = "ok     " if tally.is_ours_clean else "FAILED "
    losses = f"lost by us {tally.lost_by_us}, by others {tally.lost_by_others}"
    asked = f"granted {counted(tally.granted)}; refused {counted(tally.refused)}"
    told = f"{tally.rounds} rounds, {losses}; {asked}; errors {counted(tally.complaints)}"
    print(f"{verdict} {name}, {service}: {told}", flush=True)
    # What we did wrong first, if anything.
    examples = sorted(tally.examples, key=lambda text: not text.removeprefix("lost by ").startswith(OURS))
    for text in examples[:3] + tally.violations[:3]:
        print("        ", text.replace("\n", " ")[:400], flush=True)


def main() -> int:
    parser = lab.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=500, help="of each race with each service")
    parser.add_argument("--short", action="store_true", help="a few rounds of the tools that are quickly had")
    parser.add_argument("--lanes", type=int, default=4, help="batches side by side; most of a round is waiting")
    parser.add_argument("--only", action="append", default=[], help="races whose name, with the service, has this in it")
    arguments = parser.parse_args()
    rounds = min(arguments.rounds, 15) if arguments.short else arguments.rounds

    installed, skipped = [], []
    for tool in tools.ALL:
        if arguments.short and not tool.is_quick:
            continue
        try:
            tool.install(arguments.work)
            tool.driver_command()
            installed.append(tool)
        except Unavailable as err:
            skipped.append(f"{tool.name}: {err}")
            print(f"SKIPPED {tool.name}: {err}", flush=True)

    rows, began = [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(arguments.lanes) as pool:
        running = [
            (race.name, service, start(arguments, race, service, rounds, pool))
            for race in races(installed)
            for service in race.services
            if all(word in f"{race.name}, {service}" for word in arguments.only)
        ]
        for name, service, parts in running:
            tally = total(part.result() for part in parts)
            rows.append((name, service, tally))
            report(name, service, tally)

    text = table(rows) + "".join(f"\nSKIPPED {reason}\n" for reason in skipped)
    (arguments.work / "race.md").write_text(text)
    all_of_it = total(tally for _, _, tally in rows)
    by_others: collections.Counter = collections.Counter()
    for _, service, tally in rows:
        by_others[service] += tally.lost_by_others
    losses = f"lost by us {all_of_it.lost_by_us}, by others {dict(by_others)}"
    print(f"{all_of_it.rounds} rounds raced in {time.monotonic() - began:.0f} s: {losses}; "
          f"SKIPPED {len(skipped)}: {'; '.join(skipped) or 'nothing'}")
    return 0 if all_of_it.is_ours_clean else 1


if __name__ == "__main__":
    sys.exit(main())
