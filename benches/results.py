"""What the tables of all benchmarks have: the machine, and the times of each case."""

import csv
import os
import platform
from collections import defaultdict
from pathlib import Path
from statistics import median


def processors() -> str:
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{len(os.sched_getaffinity(0))} cores ({model})"


def kernel() -> str:
    return f"Linux {platform.release()}"


class Results:
    """The lines of `results.csv` by case: seconds, then further numbers."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, list[list[float]]] = defaultdict(list)
        with (folder / "results.csv").open() as file:
            for case, *numbers in csv.reader(file):
                self.rows[case].append([float(number) for number in numbers])
        self.wall = {case: median(self.column(case)) for case in self.rows}

    def __contains__(self, case: str) -> bool:
        return case in self.rows

    def column(self, case: str, number: int = 0) -> list[float]:
        return [row[number] for row in self.rows[case]]

    def cells(self, case: str, digits: int) -> tuple[str, str]:
        """The median of the seconds, and their range."""
        times = self.column(case)
        return f"{self.wall[case]:.{digits}f}", f"{min(times):.{digits}f}–{max(times):.{digits}f}"
