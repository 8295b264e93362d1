"""Turns the results of `run` into Markdown: table.py DIR CONTEXT."""

import os
import sys
from pathlib import Path
from statistics import median

from results import Results, kernel, processors

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


def memory() -> str:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{size:.0f} GiB"


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
    runs = Results(folder)
    wall = runs.wall
    pipeline, cold = wall.get("pipeline"), wall.get("imgbuild-cold")

    def ratio(seconds: float, to: float | None) -> str:
        return f"{seconds / to:.3g} ×" if to else ""

    print(f"Machine: {processors()}, {memory()}, {kernel()}.")
    print(f"Context: {contents(context)}, as two layers on `scratch`; page cache warm, stores and registry empty.\n")
    print("| case | median s | min–max s | × pipeline | × imgbuild cold | peak RSS MB | busy before | runs |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for case, name in NAMES.items():
        if case not in runs:
            continue
        middle, span = runs.cells(case, 2)
        busy = runs.column(case, 2)
        # Of a pipeline's processes and of a client with a daemon, the peak is one process's: it says nothing.
        peak = "–" if case in ("pipeline", "docker", "sha256") else f"{max(runs.column(case, 1)) / 1024:.0f}"
        print(
            f"| {name} | {middle} | {span} | {ratio(wall[case], pipeline)} "
            f"| {ratio(wall[case], cold)} | {peak} | {median(busy):.0f} % | {len(busy)} |"
        )
    gzip, ours = number(folder / "gzip-size"), number(folder / "pushed-size")
    if gzip and ours and cold:
        print(f"\nLayers pushed: {ours / 1e6:.1f} MB; `gzip -6` of the same tars: {gzip / 1e6:.1f} MB ({ours / gzip:.3f} ×).")
    elif gzip:
        print(f"\n`gzip -6` of the two tars: {gzip / 1e6:.1f} MB.")
    if "buildah" in runs and (folder / "buildah-driver").exists():
        print(f"buildah's storage driver: {(folder / 'buildah-driver').read_text().strip()}.")
    loads = [load for case in runs.rows for load in runs.column(case, 3)]
    print(f"Load average before a run: {min(loads):.1f}–{max(loads):.1f}. A busy machine inflates every figure.")


main()
