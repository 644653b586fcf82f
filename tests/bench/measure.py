"""Runs whole processes side by side and says what each took: wall time, peak memory, instructions, system calls."""

import dataclasses
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
from typing import Callable

HERE = pathlib.Path(__file__).resolve().parent


class Unavailable(Exception):
    """Something cannot be had here; the text is the reason."""


@dataclasses.dataclass
class Case:
    """A command to measure, and what makes it do the same work every time."""

    command: list[str]
    environment: dict[str, str]
    prepare: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None  # raises where a run did not do its work


@dataclasses.dataclass
class Figures:
    """What the runs of one case took, run by run."""

    milliseconds: list[float]
    kilobytes: list[int]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def memory(self) -> int:
        return max(self.kilobytes)


@dataclasses.dataclass
class Ratio:
    """How many times one case takes what another takes: of the medians, and the middle half of the pairs."""

    of_medians: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.of_medians:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(one: Figures, other: Figures) -> Ratio:
    pairs = [a / b for a, b in zip(one.milliseconds, other.milliseconds, strict=True)]
    low, _, high = statistics.quantiles(pairs * 2 if len(pairs) == 1 else pairs, n=4, method="inclusive")
    return Ratio(one.median / other.median, low, high)


class Bench:
    """Builds the launcher and measures with it."""

    def __init__(self, folder: pathlib.Path):
        self.launcher = str(compiled("launch", folder))

    def once(self, case: Case) -> tuple[float, int]:
        case.prepare()
        command = [self.launcher, *case.command]
        told = subprocess.run(command, env=case.environment, capture_output=True, text=True, check=True)
        nanoseconds, kilobytes, status = map(int, told.stdout.split())
        if status != 0:
            raise RuntimeError(f"{case.command[:3]} ended with {status}:\n{told.stderr}")
        case.check()
        return nanoseconds / 1e6, kilobytes

    def interleaved(self, rounds: int, cases: dict[str, Case]) -> dict[str, Figures]:
        """ABCABC…: what slows the machine down for a while slows all cases down. A first round is not
        counted, unless there is only one."""
        figures = {name: Figures([], []) for name in cases}
        for number in range(rounds + (rounds > 1)):
            for name, case in cases.items():
                milliseconds, kilobytes = self.once(case)
                if number > 0 or rounds == 1:
                    figures[name].milliseconds.append(milliseconds)
                    figures[name].kilobytes.append(kilobytes)
        return figures


def compiled(name: str, folder: pathlib.Path) -> pathlib.Path:
    """A C file of this folder as a static program. There is a C compiler wherever *ring* could be built; Apple's knows
    no static programs."""
    program = folder / name
    for static in (["-static"], []):
        command = ["cc", "-O2", *static, "-o", str(program), str(HERE / f"{name}.c")]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return program
    raise Unavailable(f"cc cannot compile {name}.c")


def compiled_rust_nothing(folder: pathlib.Path) -> pathlib.Path:
    """An empty `main` for musl. It starts quicker than C with glibc, which asks the processor for its caches first."""
    program = folder / "nothing-rust"
    target = f"{platform.machine()}-unknown-linux-musl"
    command = ["rustc", "-O", "-C", "panic=abort", "-C", "strip=symbols", "--target", target, "-o", str(program), "-"]
    if subprocess.run(command, input=b"fn main() {}", capture_output=True).returncode != 0:
        raise Unavailable(f"rustc has no {target}")
    return program


def instructions(case: Case) -> int:
    """All instructions in user mode, threads included, as callgrind counts them."""
    if shutil.which("valgrind") is None:
        raise Unavailable("valgrind is not installed")
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *case.command]
    found = re.search(r"Collected : (\d+)", under(command, case))
    if found is None:
        raise Unavailable("valgrind cannot run it")
    return int(found[1])


def system_calls(case: Case) -> int:
    if shutil.which("strace") is None:
        raise Unavailable("strace is not installed")
    found = re.search(r"^100\.00 +\S+ +\S* +(\d+) .*total$", under(["strace", "-c", "-f", *case.command], case), re.MULTILINE)
    if found is None:
        raise Unavailable("strace may not trace here")
    return int(found[1])


def under(command: list[str], case: Case) -> str:
    """What a tool that watches a case says."""
    case.prepare()
    ran = subprocess.run(command, env=case.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return ran.stderr if ran.returncode == 0 else ""
