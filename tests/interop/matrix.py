#!/usr/bin/env python3
"""The interop matrix: every AWS tool that shares the token cache, against our program, over real files and real TLS.

usage: matrix.py [--short] [--only WORD]... [--rounds N] [--program FILE] [--server FILE] [--work FOLDER]

One test class per tool, one test per column. What cannot be had is SKIPPED, with its reason in the table and the last
line. The table is printed and written to `matrix.md` in the work folder. Exit code 1 when a test failed.
"""

import argparse
import json
import subprocess
import sys
import time
import typing
import unittest

import lab
import race
import tools
from lab import MINUTE, Home, Server, Unavailable, laboratory

# Members that no tool knows: numbers and escapes that a parser would write differently.
RAW_MEMBERS = '"vendorBig": 12345678901234567890123, "vendorText": "\\u00fc\\/", "vendorList": [1.50,  {"a": null}]'
CHANGED_BY_A_GRANT = {"accessToken", "expiresAt", "refreshToken"}
DUE = 10 * MINUTE  # for us, but for no other tool than botocore and the AWS CLI
FRESH_ENOUGH = 50 * MINUTE


class Setting:
    """What the command line chose; unittest has no other way to pass it on."""

    program: lab.Program
    server: str
    rounds: int
    arguments: typing.Any


class Column(typing.NamedTuple):
    test: str
    title: str


COLUMNS = [
    Column("test_uses_what_we_refreshed", "reads and uses our file"),
    Column("test_refreshes_our_file", "refreshes it; we read and refresh the result"),
    Column("test_we_refresh_its_file", "we refresh a file it wrote"),
    Column("test_both_at_once", "both at once"),
    Column("test_its_sign_in_and_out_stand", "its sign-in and sign-out stand"),
    Column("test_missing_and_null_members", "missing and null members"),
]


class ToolCase(unittest.TestCase):
    """The columns; `case_of` makes a subclass per tool."""

    tool: tools.Tool
    results: dict[str, dict[str, str]] = {}

    @classmethod
    def setUpClass(cls) -> None:
        cls.results.setdefault(cls.tool.name, {})
        try:
            cls.tool.install(Setting.arguments.work)
        except Unavailable as err:
            raise unittest.SkipTest(str(err)) from err

    def note(self, text: str) -> None:
        self.results[self.tool.name][self._testMethodName] = text

    def refresh(self, server: Server, home: Home, *arguments: str) -> None:
        told = Setting.program.refresh(home, server, *arguments)
        self.assertIn("refreshed:", told)

    def signed_in(self, server: Server, home: Home, session: str = "work", seconds_left: int = DUE, **changed) -> dict:
        granted = server.control("sign_in")
        home.write(lab.sign_in_text(granted, seconds_left, **changed), session)
        return granted

    def used_token(self, server: Server) -> str:
        """The token that the tool last showed at the portal."""
        return dict(server.requests("/federation/credentials")[-1]["headers"])["x-amz-sso_bearer_token"]

    def refreshes(self, server: Server) -> int:
        return len(server.requests("/token"))

    def check_used_as_it_is(self, server: Server, home: Home, session: str = "work") -> None:
        """The tool works with the token in the file, asks for no other one, and leaves the file alone."""
        before, asked = home.text(session), self.refreshes(server)
        self.tool.use(home, server, session)
        self.assertEqual(self.used_token(server), json.loads(before)["accessToken"])
        self.assertEqual(self.refreshes(server), asked, "it refreshed a fresh token")
        self.assertEqual(home.text(session), before)

    def check_refreshed_by_us(self, before: str, server: Server, home: Home, session: str = "work") -> None:
        """Only what a grant brings is new; everything else is as it was, in its order."""
        was, now = json.loads(before), home.token(session)
        self.assertEqual(list(now), list(was), "the order of members")
        for name in set(was) - CHANGED_BY_A_GRANT - {"registrationExpiresAt"}:
            self.assertEqual(now[name], was[name], name)
        # Every tool's form of time becomes the one that all can read; the time stays.
        if "registrationExpiresAt" in was:
            self.assertEqual(now["registrationExpiresAt"][:19], was["registrationExpiresAt"][:19])
        for name in CHANGED_BY_A_GRANT:
            self.assertNotEqual(now[name], was[name], name)
        self.assertIn(now["refreshToken"], server.stats()["liveRefreshTokens"])
        self.assertEqual(Setting.program.state(home, server, session), "fresh")
        self.assertEqual(home.token_path(session).stat().st_mode & 0o777, 0o600)

    def check_clean(self, server: Server, home: Home) -> None:
        stats = server.stats()
        self.assertEqual((stats["spentTwice"], stats["violations"]), (0, []))
        left_over = [path.name for path in home.cache.iterdir() if ".new" in path.name or ".tmp" in path.name]
        self.assertEqual(left_over, [])

    def test_uses_what_we_refreshed(self) -> None:
        with laboratory(Setting.server) as (server, home):
            self.signed_in(server, home, vendor={"note": "ü"})
            self.refresh(server, home)
            self.check_used_as_it_is(server, home)
            self.check_clean(server, home)
        self.note("yes")

    def test_refreshes_our_file(self) -> None:
        with laboratory(Setting.server) as (server, home):
            self.signed_in(server, home, vendor={"note": "ü", "list": [1, 2.5, None, True]})
            self.refresh(server, home)
            ours = home.token()
            home.age(self.tool.refreshes_at)
            inode = home.token_path().stat().st_ino
            self.tool.use(home, server)
            theirs = home.token()
            writes = "in place" if home.token_path().stat().st_ino == inode else "by renaming"
            self.assertEqual(writes, self.tool.writes, "how it writes")
            self.assertNotEqual(theirs["accessToken"], ours["accessToken"], "it did not refresh")
            self.assertEqual(self.used_token(server), theirs["accessToken"])
            self.assertEqual(server.stats()["neverPresented"], [theirs["refreshToken"]])
            for name in ("startUrl", "region", "clientId", "clientSecret"):
                self.assertEqual(theirs[name], ours[name], name)
            self.assertEqual(theirs.get("vendor"), ours["vendor"] if self.tool.keeps_unknown else None)

            self.assertEqual(Setting.program.state(home, server), "fresh")
            before = home.text()
            time.sleep(1)  # else the new end could be the old one, to the second
            self.refresh(server, home, "--force")
            self.check_refreshed_by_us(before, server, home)
            self.check_used_as_it_is(server, home)
            self.check_clean(server, home)
        self.note("yes; keeps unknown members" if self.tool.keeps_unknown else "yes; drops unknown members")

    def test_we_refresh_its_file(self) -> None:
        written = []
        with laboratory(Setting.server) as (server, home):
            self.signed_in(server, home, seconds_left=self.tool.refreshes_at)
            self.tool.use(home, server)
            self.check_we_refresh(server, home)
            written.append("its refresh")
        if self.tool.can_sign_in:
            with laboratory(Setting.server) as (server, home):
                lab.sign_in_with_device_code(self.tool.program, server, home)
                self.check_we_refresh(server, home)
                written.insert(0, "its login")
        self.note(f"{' and '.join(written)}, every unknown member kept")

    def check_we_refresh(self, server: Server, home: Home) -> None:
        head = home.text().rstrip().removesuffix("}").rstrip()
        home.write(head + ", " + RAW_MEMBERS + "}")
        home.age(DUE)
        before = home.text()
        self.refresh(server, home)
        self.check_refreshed_by_us(before, server, home)
        for raw in ("12345678901234567890123", r'"\u00fc\/"', '[1.50,  {"a": null}]'):
            self.assertIn(raw, home.text())
        self.check_used_as_it_is(server, home)
        self.assertEqual(server.stats()["violations"], [])

    def test_both_at_once(self) -> None:
        parts = []
        for service in ("rotate", "keep"):
            count = Setting.rounds
            parts.append(race.batch(Setting.arguments, service, 2, [(self.tool, 2, False)], count))
        tally = race.total(parts)
        self.assertTrue(tally.is_ours_clean, tally)
        self.assertGreater(tally.granted[race.OURS], 0, "we never got a turn")
        self.note(f"{tally.rounds} rounds: {tally.lost_by_us} lost by us, {tally.lost_by_others} by it")

    def test_its_sign_in_and_out_stand(self) -> None:
        if not self.tool.can_sign_out:
            return self.note("has neither")
        with laboratory(Setting.server) as (server, home):
            self.signed_in(server, home)
            self.refresh(server, home)
            self.tool.sign_out(home, server)
            self.check_signed_out(server, home)

            told = self.during_a_refresh(server, home, lambda: self.tool.sign_out(home, server))
            self.assertIn("signed out", told)
            self.check_signed_out(server, home)

            self.during_a_refresh(server, home, lambda: lab.sign_in_with_device_code(self.tool.program, server, home))
            self.assertIn(home.token()["refreshToken"], server.stats()["liveRefreshTokens"])
            self.assertEqual(server.requests("/token")[-1]["status"], 200)
            device = json.loads(server.requests("/token")[-1]["body"]).get("deviceCode")
            self.assertIsNotNone(device, "the sign-in was not last")
            self.check_used_as_it_is(server, home)
            self.check_clean(server, home)
        self.note("yes, also in the middle of a refresh")

    def during_a_refresh(self, server: Server, home: Home, happens: typing.Callable[[], None]) -> str:
        """Something happens while an answer to us is held back; what our run says in the end."""
        granted = self.signed_in(server, home)
        # A sign-in waits some seconds for its person; a request of ours is given up after 15.
        server.control("fault", fault="delay", milliseconds=13_000, times=1)
        asked = self.refreshes(server)
        command = [Setting.program.path, "refresh"]
        ours = subprocess.Popen(command, env=home.direct(server), stdout=subprocess.PIPE, text=True)
        while self.refreshes(server) == asked:
            self.assertIsNone(ours.poll(), "our run ended before it asked")
            time.sleep(0.02)
        happens()
        self.assertIsNone(ours.poll(), "our run ended before the other tool had done its part")
        written = home.text() if home.token_path().exists() else None
        told, _ = ours.communicate(timeout=lab.COMMAND_SECONDS)
        self.assertEqual(ours.returncode, 0, told)
        left = home.text() if home.token_path().exists() else None
        self.assertEqual(left, written, "what the other tool had done was undone")
        self.assertNotIn(granted["refreshToken"], left or "")
        return told

    def check_signed_out(self, server: Server, home: Home) -> None:
        """A check after it asks for nothing and brings nothing back."""
        self.assertFalse(home.token_path().exists(), "the tool left the file")
        asked = self.refreshes(server)
        told = Setting.program.refresh(home, server)
        self.assertIn("signed out", told)
        self.assertEqual(self.refreshes(server), asked)
        self.assertEqual([path.name for path in home.cache.iterdir() if path.suffix in (".new", ".json")], [])

    def test_missing_and_null_members(self) -> None:
        lacking = {
            "no-start-url": {"startUrl": ...},
            "null-start-url": {"startUrl": None},
            "no-region": {"region": ...},
            "null-region": {"region": None},
            "no-registration-end": {"registrationExpiresAt": ...},
            "null-registration-end": {"registrationExpiresAt": None},
            "null-unknown": {"idToken": None, "issuedTokenType": None},
        }
        with laboratory(Setting.server, sessions=tuple(lacking)) as (server, home):
            for session, changed in lacking.items():
                with self.subTest(session):
                    self.signed_in(server, home, session, **changed)
                    self.refresh(server, home, "--session", session)
                    self.check_no_known_nulls(home, session)
                    self.check_used_as_it_is(server, home, session)
            self.check_clean(server, home)

        # Nothing to refresh it with: it is left as it is for as long as it lasts, and the tool goes on using it.
        with laboratory(Setting.server) as (server, home):
            self.signed_in(server, home, seconds_left=FRESH_ENOUGH, refreshToken=None)
            before = home.text()
            Setting.program.refresh(home, server, "--force")
            self.assertEqual(home.text(), before)
            if self.tool.reads_nulls:
                self.check_used_as_it_is(server, home)
            else:
                with self.assertRaises(AssertionError):
                    self.tool.use(home, server)
        cells = [f"{len(lacking)} kinds of file"]

        # The old refresh token stays good and must be kept, or nobody can refresh again.
        for answer in ("omit", "null"):
            with laboratory(Setting.server, "--refresh-tokens", answer) as (server, home):
                granted = self.signed_in(server, home)
                self.refresh(server, home)
                self.assertEqual(home.token()["refreshToken"], granted["refreshToken"])
                self.check_used_as_it_is(server, home)
                home.age(self.tool.refreshes_at)
                self.tool.use(home, server)
                kept = home.token().get("refreshToken") == granted["refreshToken"]
                self.assertEqual(kept, self.tool.keeps_refresh_token, "whether it keeps its refresh token")
                # Without one the token lasts as long as it lasts, and that is no failure yet.
                Setting.program.refresh(home, server, "--force")
        cells.append("answers without a refresh token")
        if not self.tool.keeps_refresh_token:
            cells.append("drops its own then")
        if not self.tool.reads_nulls:
            cells.append("rejects a null refresh token itself")
        self.note(", ".join(cells))

    def check_no_known_nulls(self, home: Home, session: str) -> None:
        known = {"startUrl", "region", "registrationExpiresAt", *CHANGED_BY_A_GRANT, "clientId", "clientSecret"}
        nulls = {name for name, value in home.token(session).items() if value is None}
        self.assertEqual(nulls & known, set())


class BlameTest(unittest.TestCase):
    """How races tell whose loss it is."""

    def check(self, text: str | None, touches: list[str], spent: list[race.Spent], expected: str | None) -> None:
        done = race.Round("c", text, {"live"}, touches, [])
        self.assertEqual(race.blame(done, spent), expected)

    def test_whose_loss_it_is(self) -> None:
        def file(token: str) -> str:
            return json.dumps({"accessToken": "a", "expiresAt": "e", "refreshToken": token})

        in_place, ours = "an in-place writer", race.OURS
        we_spent, they_spent = race.Spent(ours, "old", True), race.Spent("botocore", "old", True)
        self.check(file("live"), [in_place, ours], [we_spent], None)
        self.check(file("old"), [], [we_spent], ours)  # spent, and its successor not stored
        self.check(file("old"), [in_place], [we_spent], ours)  # written around the grant: still ours to store
        self.check(file("older"), [ours, in_place], [we_spent], in_place)  # they wrote over ours
        self.check(file("older"), [in_place, ours], [they_spent], ours)  # we wrote over theirs
        self.check(file("old"), [], [they_spent], "nobody who touched the file")  # they did not store
        self.check(file("old"), [in_place], [race.Spent(ours, "old", False), they_spent], in_place)
        self.check("{half", [in_place], [they_spent], in_place)
        self.check("{half", [ours], [we_spent], ours)
        self.check(None, ["a remover"], [we_spent], "a remover")
        self.check('{"refreshToken": "live"}', [ours], [we_spent], ours)  # no tool can use it

    def test_a_program_that_loses_tokens_is_found(self) -> None:
        loser = argparse.Namespace(**vars(Setting.arguments) | {"program": str(tools.HERE / "drivers/loser.py")})
        tally = race.batch(loser, "rotate", 2, [], 3)
        self.assertEqual((tally.lost_by_us, tally.lost_by_others), (3, 0), tally)


class Result(unittest.TextTestResult):
    """Keeps what the table needs."""

    def addSkip(self, test, reason: str) -> None:
        super().addSkip(test, reason)
        # A skipped class is reported by a stand-in that knows only its name.
        for case in CASES:
            if isinstance(test, case) or case.__qualname__ in str(test):
                ToolCase.results.setdefault(case.tool.name, {})["skipped"] = reason

    def failed(self, test) -> None:
        if isinstance(test, ToolCase):
            test.note("**FAILED**")

    def addFailure(self, test, err) -> None:
        super().addFailure(test, err)
        self.failed(test)

    def addError(self, test, err) -> None:
        super().addError(test, err)
        self.failed(test)

    def addSubTest(self, test, subtest, err) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed(test)


def case_of(tool: tools.Tool) -> type[ToolCase]:
    name = "".join(word.capitalize() for word in tool.name.replace(".", " ").split())
    return type(name, (ToolCase,), {"tool": tool, "__qualname__": name})


CASES = [case_of(tool) for tool in tools.ALL]


def table(cases: list[type[ToolCase]]) -> str:
    lines = ["| tool | " + " | ".join(column.title for column in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for case in cases:
        found = ToolCase.results.get(case.tool.name, {})
        skipped = found.get("skipped")
        cells = [found.get(column.test, "") for column in COLUMNS]
        if skipped:
            cells[0] = f"SKIPPED: {skipped}"
        name = case.tool.name + ("" if skipped else f" ({case.tool.version}; writes {case.tool.writes})")
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = lab.parser(__doc__)
    parser.add_argument("--short", action="store_true", help="the tools that are quickly had, and fewer columns")
    parser.add_argument("--only", action="append", default=[], help="tools whose name has this in it")
    parser.add_argument("--rounds", type=int, default=20, help="of each tool with each kind of service, both at once")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    Setting.program, Setting.server = lab.Program(arguments.program), arguments.server
    Setting.rounds = min(arguments.rounds, 3) if arguments.short else arguments.rounds
    Setting.arguments = arguments

    cases = [case for case in CASES if case.tool.is_quick or not arguments.short]
    cases = [case for case in cases if all(word in case.tool.name for word in arguments.only)]
    columns = COLUMNS[:4] if arguments.short else COLUMNS
    suite = unittest.TestSuite([unittest.defaultTestLoader.loadTestsFromTestCase(BlameTest)])
    for case in cases:
        suite.addTest(unittest.TestSuite(case(column.test) for column in columns))
    began = time.monotonic()
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)

    text = table(cases)
    (arguments.work / "matrix.md").write_text(text)
    results = [(case.tool.name, ToolCase.results.get(case.tool.name, {})) for case in cases]
    skipped = [f"{name}: {found['skipped']}" for name, found in results if "skipped" in found]
    print(f"\n{text}")
    print(f"{len(cases) - len(skipped)} tools in {time.monotonic() - began:.0f} s; "
          f"SKIPPED {len(skipped)}: {'; '.join(skipped) or 'nothing'}")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
