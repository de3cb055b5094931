"""The packages follow what they are made from: one version, one list of what is installed."""
import pathlib
import re
import subprocess

import licences
import tree
from licences import sbom

SPEC = pathlib.Path("packaging/sallyport.spec")
CHANGELOG = pathlib.Path("debian/changelog")


def version():
    return re.search(r"^  version: '(.+)',$", tree.text(pathlib.Path("meson.build")), re.M)[1]


def check_packages_have_the_version_of_the_build():
    """A candidate sorts before its release by `~`, which Meson does not know."""
    packaged = version().replace("-rc", "~rc")
    if (found := re.match(r"sallyport \((.+?)\)", tree.text(CHANGELOG))[1]) != packaged:
        yield f"{CHANGELOG}: {found}, not {packaged}"
    if (found := re.search(r"^Version:\s+(.+)$", tree.text(SPEC), re.M)[1]) != packaged:
        yield f"{SPEC}: {found}, not {packaged}"
    if f"## {version()} " not in tree.text(pathlib.Path("CHANGELOG.md")):
        yield f"CHANGELOG.md does not know {version()}"


def check_nothing_else_says_the_version():
    own = {"meson.build", "CHANGELOG.md", str(CHANGELOG), str(SPEC)}
    number = re.escape(version()).replace(r"\-rc", "[~-]rc")
    yield from tree.matches(number, [f for f in tree.files() if str(f) not in own and f.suffix not in (".bin", ".png")], tree.text)


MACROS = {
    "_bindir": "usr/bin", "_sbindir": "usr/sbin", "_libexecdir": "usr/libexec", "_datadir": "usr/share", "_mandir": "usr/share/man",
    "_sysconfdir": "etc", "_unitdir": "usr/lib/systemd/system", "_sysusersdir": "usr/lib/sysusers.d", "_tmpfilesdir": "usr/lib/tmpfiles.d",
    "_udevrulesdir": "usr/lib/udev/rules.d",
}


def check_both_kinds_of_packages_have_the_same_files():
    debian = set()
    for file in tree.files():
        if file.parts[0] == "debian" and file.suffix == ".install":
            debian |= set(tree.text(file).split())
    listed = re.findall(r"^(?:%config\S* )?%\{(\w+)\}(/\S+?)[/*]*$", tree.text(SPEC), re.M)
    yield from sorted(debian ^ {MACROS[macro] + path for macro, path in listed})


def check_each_empty_folder_is_made_by_a_line_of_its_own():
    """Of several in one install_emptydir() Meson 1.0 makes only the first, and dh_install misses the others."""
    yield from tree.matches(r"^install_emptydir\(.*, ", [f for f in tree.files() if f.name == "meson.build"], tree.text)


def check_shell_scripts_of_packages_parse():
    scripts = [f for f in tree.files() if f.parts[0] == "debian" and f.suffix in (".postinst", ".prerm", ".postrm")]
    scripts += [pathlib.Path("packaging/restart-when-thawed"), pathlib.Path("packaging/build-packages")]
    for script in scripts:
        if (result := subprocess.run(["sh", "-n", tree.ROOT / script], capture_output=True, text=True)).returncode:
            yield result.stderr.strip()


def check_the_document_of_what_is_linked_has_each_library_with_its_version():
    made = sbom.document(tree.text(licences.PAGE), version())
    identifiers = {p["SPDXID"]: p for p in made["packages"]}
    linked = {r["relatedSpdxElement"] for r in made["relationships"] if r["relationshipType"].endswith("_LINK")}
    for name in (row[0] for row in licences.rows()):
        found = [identifier for identifier, p in identifiers.items() if p["name"] == name]
        if len(found) != 1 or found[0] not in linked:
            yield f"{name} is there {len(found)} times, linked: {bool(linked & set(found))}"
        elif identifiers[found[0]]["versionInfo"] == "NOASSERTION":
            yield f"{name} has no version"
    if made != sbom.document(tree.text(licences.PAGE), version()):
        yield "it is another each time"
