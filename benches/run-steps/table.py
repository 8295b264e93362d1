"""Turns the results of `run` into Markdown: table.py DIR STEPS SLOW."""

import sys
from pathlib import Path
from statistics import median

from results import Results, kernel, processors


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
    runs = Results(folder)
    wall = runs.wall

    print(f"Machine: {processors()}, {kernel()}.\n")
    print("| case | median s | min–max s | busy before | runs |")
    print("|---|--:|--:|--:|--:|")
    for case, name in names.items():
        if case in runs:
            middle, span = runs.cells(case, 3)
            busy = runs.column(case, 2)
            print(f"| {name} | {middle} | {span} | {median(busy):.0f} % | {len(busy)} |")
    print()
    if {"imgbuild", "buildah"} <= wall.keys():
        pairs = [b / i for i, b in zip(runs.column("imgbuild"), runs.column("buildah"))]
        print(f"buildah / imgbuild: {wall['buildah'] / wall['imgbuild']:.1f} × (each round: {min(pairs):.1f}–{max(pairs):.1f} ×).")
    if {"imgbuild", "imgbuild-none", "floor"} <= wall.keys():
        each = zip(runs.column("imgbuild"), runs.column("imgbuild-none"), runs.column("floor"))
        beyond = [all_steps - none - floor for all_steps, none, floor in each]
        print(f"A step beyond fork and exec: {median(beyond) / steps * 1000:.1f} ms.")
    if {"parallel", "imgbuild-none"} <= wall.keys():
        extra = wall["parallel"] - wall["imgbuild-none"]
        print(f"Two stages of {slow} s: {wall['parallel']:.2f} s, of which {extra:.2f} s are theirs.")
    if {"application", "bare"} <= wall.keys():
        print(f"The application / its bare commands: {wall['application'] / wall['bare']:.3f} ×.")


main()
