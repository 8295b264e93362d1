"""Prints the sum of the layer sizes of an image in a registry: pushed_size.py HOST REPOSITORY TAG."""

import json
import sys
import urllib.request

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def get(host: str, repository: str, reference: str) -> dict:
    request = urllib.request.Request(
        f"http://{host}/v2/{repository}/manifests/{reference}",
        headers={"Accept": f"{INDEX}, {MANIFEST}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def main() -> None:
    host, repository, tag = sys.argv[1:]
    document = get(host, repository, tag)
    if "manifests" in document:
        document = get(host, repository, document["manifests"][0]["digest"])
    print(sum(layer["size"] for layer in document["layers"]))


main()
