"""Each library that an installed program is linked with stands in docs/licences.md, with the licence that its package has."""
import fnmatch
import functools
import glob
import pathlib
import re
import subprocess
import sys

import elf
import tree

sys.path.insert(0, str(tree.ROOT / "packaging"))
import sbom  # noqa: E402

PAGE = pathlib.Path("docs/licences.md")
# What the compiler adds to a static program by itself.
OF_STATIC = ("libc.a", "libm.a", "libstdc++.a", "libgcc.a", "libgcc_eh.a")


@functools.cache
def rows():
    return sbom.rows(tree.text(PAGE))


def is_listed(file):
    return any(fnmatch.fnmatch(file, pattern) for row in rows() for pattern in row[1].split())


@functools.cache
def rules():
    """What each program is made of, by the build's own rules."""
    text = (elf.BUILD / "build.ninja").read_text()
    return dict(re.findall(r"^build (\S+): cpp_LINKER (.*\n LINK_ARGS = .*)", text, re.M))


def linked(program):
    for name in re.findall(r"\(NEEDED\)\s+Shared library: \[(.*?\.so)", elf.readelf("-d", program)):
        yield name
    rule = rules()[program]
    yield from {pathlib.Path(file).name for file in re.findall(r"(?<=\s)/\S+\.a\b", rule)}
    if "-static-pie" in rule:
        yield from OF_STATIC


def check_each_library_that_is_linked_is_on_the_page():
    for program in elf.built():
        for file in sorted(set(linked(program))):
            if not is_listed(file):
                yield f"{program}: {file} is not in {PAGE}"


def copyright_of(name):
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n", sbom.PACKAGES[name]]
    answer = subprocess.run(command, capture_output=True, text=True).stdout
    for package in re.findall(r"^installed (\S+)$", answer, re.M):
        for place in glob.glob(f"/usr/share/doc/{package}/copyright"):
            return pathlib.Path(place).read_text(errors="replace")
    return ""


def licence_of(text, said):
    """Of the main part, or of the files that are named before the licence; where the text is not made for machines, whether it is there."""
    if not text.startswith("Format:"):
        return said if said in text else "none"
    files, _, _ = said.rpartition(": ")
    for paragraph in re.split(r"\n\s*\n", text):
        listed = re.match(r"Files:((?:\s+\S+)+?)\n\w", paragraph)
        if listed and (files or "*") in listed[1].split():
            return ": ".join(filter(None, (files, re.search(r"^License:\s*(.+?)$", paragraph, re.M)[1])))
    return "none"


def check_each_library_has_the_licence_that_the_page_says():
    for name, _, _, _, debian, _ in rows():
        if (found := licence_of(copyright_of(name), debian)) != debian:
            yield f"{PAGE}: {name}: {debian} there, {found} in Debian's copyright file"
