#!/usr/bin/python3
"""Writes the SPDX document of this build: the libraries of docs/licences.md, in the versions that are installed.

usage: sbom.py TABLE VERSION OUTPUT

It says nothing of when and where it was made, but SOURCE_DATE_EPOCH: two builds of the same make the same document.
"""
import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

# The Debian package whose version is that of the library, where its name is not the table's.
PACKAGES = {
    "protobuf": "libprotobuf-dev", "Abseil": "libabsl-dev", "Boost.JSON": "libboost-json*-dev", "toml++": "libtomlplusplus-dev",
    "CLI11": "libcli11-dev", "libmd": "libmd-dev", "zlib": "zlib1g-dev", "libseccomp": "libseccomp-dev",
    "libcap-ng": "libcap-ng-dev", "libmount": "libmount-dev", "libudev": "libudev-dev", "libmnl": "libmnl-dev",
    "GLib": "libglib2.0-dev", "glibc": "libc6-dev", "GCC's libraries": "libgcc-s1",
}


def rows(table):
    lines = re.findall(r"^\| (.+) \|$", table, re.M)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines[1:] if not line.startswith("---")]


def version_of(name):
    """As Debian's packages say; elsewhere nobody knows it here."""
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${source:Version}\\n", PACKAGES[name]]
    try:
        answer = subprocess.run(command, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return "NOASSERTION"
    found = re.findall(r"^installed (\S+)$", answer, re.M)
    return max(found, default="NOASSERTION")


def package(name, version, licence, location):
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", name), "name": name, "versionInfo": version,
        "downloadLocation": location, "filesAnalyzed": False, "licenseConcluded": licence, "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
    }


def document(table, version):
    ours = package("sallyport", version, "Apache-2.0", "NOASSERTION")
    libraries, relations = [], [("SPDXRef-DOCUMENT", "DESCRIBES", ours["SPDXID"])]
    for name, _, linked, licence, *_ in rows(table):
        library = package(name, version_of(name), licence, "NOASSERTION")
        libraries.append(library)
        if "shared" in linked:
            relations.append((ours["SPDXID"], "DYNAMIC_LINK", library["SPDXID"]))
        if "static" in linked or "compiled" in linked:
            relations.append((ours["SPDXID"], "STATIC_LINK", library["SPDXID"]))
    made = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), datetime.timezone.utc)
    digest = hashlib.sha256(json.dumps([ours, libraries, relations]).encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"sallyport-{version}",
        "documentNamespace": f"https://sallyport.invalid/spdx/{version}/{digest}",
        "creationInfo": {"created": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: sallyport-sbom"]},
        "packages": [ours, *libraries],
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations],
    }


def main():
    table, version, output = sys.argv[1:]
    made = document(pathlib.Path(table).read_text(), version)
    pathlib.Path(output).write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
