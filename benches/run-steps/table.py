"""Turns the results of `run` into Markdown: table.py DIR STEPS SLOW."""

import csv
import os
import platform
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median


def machine() -> str:
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{len(os.sched_getaffinity(0))} cores ({model}), Linux {platform.release()}"


def main() -> None:
    folder, steps, slow = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    names = {
        "floor": f"floor: {steps} × fork and exec of `sh -c true`",
        "imgbuild": f"**imgbuild**, {steps} × `RUN true`, cold, pushed",
        "imgbuild-none": "imgbuild, no step, cold, pushed",
        "buildah": f"`buildah bud --layers` + `buildah push`, {steps} × `RUN true`, cold",
        "parallel": f"imgbuild, two stages that sleep {slow} s each, cold, pushed",
        "application": "imgbuild, the application, cold, pushed",
        "bare": "the application's commands, bare",
    }
    runs = defaultdict(list)
    with (folder / "results.csv").open() as file:
        for case, seconds, _, busy in csv.reader(file):
            runs[case].append((float(seconds), int(busy)))
    wall = {case: median(run[0] for run in rows) for case, rows in runs.items()}

    print(f"Machine: {machine()}.\n")
    print("| case | median s | min–max s | busy before | runs |")
    print("|---|--:|--:|--:|--:|")
    for case, name in names.items():
        if case in runs:
            times = [run[0] for run in runs[case]]
            busy = median(run[1] for run in runs[case])
            print(f"| {name} | {wall[case]:.3f} | {min(times):.3f}–{max(times):.3f} | {busy:.0f} % | {len(times)} |")
    print()
    if {"imgbuild", "buildah"} <= wall.keys():
        pairs = [b[0] / i[0] for i, b in zip(runs["imgbuild"], runs["buildah"])]
        print(f"buildah / imgbuild: {wall['buildah'] / wall['imgbuild']:.1f} × (each round: {min(pairs):.1f}–{max(pairs):.1f} ×).")
    if {"imgbuild", "imgbuild-none", "floor"} <= wall.keys():
        beyond = [i[0] - n[0] - f[0] for i, n, f in zip(runs["imgbuild"], runs["imgbuild-none"], runs["floor"])]
        print(f"A step beyond fork and exec: {median(beyond) / steps * 1000:.1f} ms.")
    if {"parallel", "imgbuild-none"} <= wall.keys():
        extra = wall["parallel"] - wall["imgbuild-none"]
        print(f"Two stages of {slow} s: {wall['parallel']:.2f} s, of which {extra:.2f} s are theirs.")
    if {"application", "bare"} <= wall.keys():
        print(f"The application / its bare commands: {wall['application'] / wall['bare']:.3f} ×.")


main()
