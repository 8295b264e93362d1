"""Turns the results of `run` into Markdown: table.py DIR CONTEXT."""

import csv
import os
import platform
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

NAMES = {
    "walk": "floor: walk and stat",
    "sha256": "floor: SHA-256 of the bytes",
    "compress": "floor: our compressor on the bytes, all cores",
    "pipeline": "`tar -cf - … \\| pigz -6 \\| sha256sum`",
    "imgbuild-cold": "**imgbuild**, cold, build + push",
    "imgbuild-unchanged": "imgbuild, nothing changed",
    "imgbuild-changed": "imgbuild, one file of the big layer changed",
    "buildah": "`buildah bud --layers` + `buildah push`, cold",
    "docker": "`docker build` + `docker push`, cold",
}


def machine() -> str:
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}"


def contents(context: Path) -> str:
    files = size = 0
    for layer in ("node_modules", "site-packages"):
        for folder, _, names in os.walk(context / layer):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    files += 1
                    size += os.path.getsize(path)
    return f"{files:,} files, {size / 1e6:.0f} MB"


def number(path: Path) -> int | None:
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text else None


def main() -> None:
    folder, context = Path(sys.argv[1]), Path(sys.argv[2])
    runs = defaultdict(list)
    with (folder / "results.csv").open() as file:
        for case, seconds, rss, busy, load in csv.reader(file):
            runs[case].append((float(seconds), int(rss), int(busy), float(load)))
    wall = {case: median(run[0] for run in rows) for case, rows in runs.items()}
    pipeline, cold = wall.get("pipeline"), wall.get("imgbuild-cold")

    def ratio(seconds: float, to: float | None) -> str:
        return f"{seconds / to:.3g} ×" if to else ""

    print(f"Machine: {machine()}.")
    print(f"Context: {contents(context)}, as two layers on `scratch`; page cache warm, stores and registry empty.\n")
    print("| case | median s | min–max s | × pipeline | × imgbuild cold | peak RSS MB | busy before | runs |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for case, name in NAMES.items():
        if case not in runs:
            continue
        rows = runs[case]
        times = [run[0] for run in rows]
        # Of a pipeline's processes and of a client with a daemon, the peak is one process's: it says nothing.
        peak = "–" if case in ("pipeline", "docker", "sha256") else f"{max(run[1] for run in rows) / 1024:.0f}"
        print(
            f"| {name} | {wall[case]:.2f} | {min(times):.2f}–{max(times):.2f} | {ratio(wall[case], pipeline)} "
            f"| {ratio(wall[case], cold)} | {peak} | {median(run[2] for run in rows):.0f} % | {len(rows)} |"
        )
    gzip, ours = number(folder / "gzip-size"), number(folder / "pushed-size")
    if gzip and ours and cold:
        print(f"\nLayers pushed: {ours / 1e6:.1f} MB; `gzip -6` of the same tars: {gzip / 1e6:.1f} MB ({ours / gzip:.3f} ×).")
    elif gzip:
        print(f"\n`gzip -6` of the two tars: {gzip / 1e6:.1f} MB.")
    if "buildah" in runs and (folder / "buildah-driver").exists():
        print(f"buildah's storage driver: {(folder / 'buildah-driver').read_text().strip()}.")
    loads = [run[3] for rows in runs.values() for run in rows]
    print(f"Load average before a run: {min(loads):.1f}–{max(loads):.1f}. A busy machine inflates every figure.")


main()
