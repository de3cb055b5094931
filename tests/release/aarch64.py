#!/usr/bin/python3
"""The agent on 64-bit ARM: cross-built from amd64 with Debian's multiarch, then tried in a guest of that architecture; the last line is the count.

usage: aarch64.py BUILD [STEP...]     as root

Everything happens in a tree of Debian 12 for amd64 with the libraries of arm64, BUILD/release/aarch64/root; only QEMU is this machine's.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import sys

from check import Chroot, play_all

from arm_guest import ArmImages, run_programs  # which finds those of tests/vm

from guest import Guest
from run import cases, play

# What runs here, to build; the libraries are those of debian/control, and the tests'.
TOOLS = ("ccache", "crossbuild-essential-arm64", "meson", "ninja-build", "pkgconf", "pkgconf:arm64", "protobuf-compiler", "python3", "qemu-user-static",
         "libcli11-dev")
LIBRARIES = ("libabsl-dev", "libboost-json1.81-dev", "libcap-ng-dev", "libglib2.0-dev", "libgtest-dev", "libmd-dev", "libmnl-dev", "libmount-dev",
             "libprotobuf-dev", "libseccomp-dev", "libtomlplusplus-dev", "libudev-dev")
# The programs of these folders of tests/ are played in the guest, each folder's by a step of its own: some take hours.
SUITES = ("sandbox", "e2e", "hostile")
# And what they start besides the agent.
HELPERS = "support"


class Crossed(Chroot):
    """Where it is built."""

    def __init__(self, build):
        super().__init__(build, "bookworm", "aarch64")
        self.built = self.root / "build/cross"

    def install(self):
        wanted = " ".join([*TOOLS, *(f"{name}:arm64" for name in LIBRARIES)])
        self.do(f"dpkg --add-architecture arm64; apt-get -q update; {self.APT} install {wanted}")

    def compile(self, command):
        return self.do(f"nice -n 2 ninja -C cross -k 0 {command}", PATH="/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin")

    def test_programs(self):
        """Relative to the folder that they are built in."""
        for target in json.loads((self.built / "meson-info/intro-targets.json").read_text()):
            folder = pathlib.Path(target["defined_in"]).parent.relative_to("/build/source")
            if target["type"] == "executable" and folder.parts[0] == "tests" and folder.parts[1] in (*SUITES, HELPERS):
                yield from (str(pathlib.Path(file).relative_to("/build/cross")) for file in target["filename"])


def compiled(tree):
    """Agent and tests, without much optimization."""
    if not (tree.built / "build.ninja").exists():
        tree.do("meson setup --cross-file source/packaging/aarch64.ini -Dselinux=disabled -Doptimization=1 -Ddebug=false source cross",
                PATH="/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin")
    programs = list(tree.test_programs())
    tree.compile("programs")
    tree.compile(" ".join(programs))
    return f"the agent and {len(programs)} programs of tests"


def kernel(tree):
    """The cases of tests/vm without systemd."""
    images = ArmImages(tree)
    images.make()
    chosen = [(name, case) for name, case, kind in cases("") if kind is Guest and case.GUEST == "initramfs"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda one: play(images, *one, Guest), chosen))
    assert all(results), f"{sum(results)} passed, {len(results) - sum(results)} failed"
    return f"{len(results)} cases passed"


def programs(tree, suite):
    """The tests of a folder, in a Debian of that architecture."""
    images = ArmImages(tree)
    images.make()
    images.make_root()
    said = run_programs(images, [suite])
    print("".join(f"     | {line}\n" for line in said.splitlines()), end="")
    counted = said.splitlines()[-1]
    assert re.fullmatch(r"\d+ passed, 0 failed", counted), counted
    return counted


def sandbox(tree):
    return programs(tree, "sandbox")


def hostile(tree):
    return programs(tree, "hostile")


def e2e(tree):
    return programs(tree, "e2e")


STEPS = (compiled, kernel, sandbox, hostile, e2e)

if __name__ == "__main__":
    sys.exit(play_all(Crossed(sys.argv[1]), STEPS, sys.argv[2:]))
