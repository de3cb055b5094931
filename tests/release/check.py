#!/usr/bin/python3
"""What a release is checked by, besides ./dev test and ./dev vm-test; the last line is the count.

usage: check.py BUILD SUITE [STEP...]     as root; SUITE is bookworm or trixie

Everything happens in a tree of that Debian, BUILD/release/SUITE/root, which debootstrap makes: the packages are built from nothing but
what debian/control names, and the tools that check them are not installed on this machine.
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
# lintian and what checks the examples; the examples do not differ between the distributions.
TOOLS = {
    "bookworm": ("lintian", "autopkgtest", "rpm", "rpmlint", "libvirt-clients", "libxml2-utils", "cloud-init", "ansible-core", "ansible-lint", "packer", "python3-yaml"),
    # What is compiled there is compiled again at each run, of the same files: nothing of it is compared byte by byte.
    "trixie": ("lintian", "autopkgtest", "ccache"),
}
# Where it is installed; what is precompiled is told by its contents.
CCACHE = {"CCACHE_DIR": "/build/ccache", "CCACHE_SLOPPINESS": "pch_defines,time_macros,include_file_mtime,include_file_ctime"}
# The project has no domain and so no address for mail yet. An override is for a tag that the later lintian does not know any more.
SUPPRESSED = {
    "bookworm": "bogus-mail-host,bogus-mail-host-in-debian-changelog",
    "trixie": "bogus-mail-host,bogus-mail-host-in-debian-changelog,alien-tag",
}


def run(*words, **options):
    result = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    assert result.returncode == 0, f"{' '.join(map(str, words))}: status {result.returncode}\n{result.stdout[-6000:]}"
    return result.stdout


class Chroot:
    # A tree is made anew if the machine stops: dpkg need not wait for the disk.
    APT = "apt-get -q -y -o APT::Sandbox::User=root -o Dpkg::Options::=--force-unsafe-io --no-install-recommends"

    def __init__(self, build, suite, name):
        self.suite, self.name = suite, name
        self.store = pathlib.Path(build).resolve() / "release" / name
        self.root = self.store / "root"
        self.packages = self.root / "build/one"

    def make(self):
        if not self.root.exists():
            new = self.store / "root.new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            run("debootstrap", "--variant=minbase", self.suite, new)
            new.rename(self.root)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        self.copy_tree("source")
        # So that no package starts a service of this machine's.
        (self.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        self.install()

    def install(self):
        self.do("apt-get -q update")
        self.do(f"{self.APT} build-dep ./source && {self.APT} install {' '.join(TOOLS[self.suite])}")

    def copy_tree(self, name):
        to = self.root / "build" / name
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        archive = subprocess.Popen(["tar", "-c", "--exclude=./build", "--exclude=./.git", "--exclude=__pycache__", "."], cwd=TREE, stdout=subprocess.PIPE)
        run("tar", "-x", "-C", to, stdin=archive.stdout)
        assert archive.wait() == 0

    def do(self, command, **environment):
        """In a mount namespace whose root this tree is, so that user namespaces can be made there."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **CCACHE, **environment}
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", HERE / "inside", self.root, command, env=environment)


def packages(chroot):
    """Built from a clean copy."""
    chroot.do("nice source/packaging/build-packages one")
    found = sorted(p.name for p in chroot.packages.glob("*.deb"))
    return ", ".join(found)


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.deb")}


def reproducible(chroot):
    """Built again in another folder, at another time, by another umask: each package is the same, byte for byte."""
    chroot.do("umask 027; nice source/packaging/build-packages another-folder/deeper", TZ="Pacific/Kiritimati", LC_ALL="C")
    first, second = digests(chroot.packages), digests(chroot.root / "build/another-folder/deeper")
    assert first and first == second, f"they differ: {[name for name in first if first[name] != second.get(name)]}"
    return f"{len(first)} packages identical"


def lintian(chroot):
    said = chroot.do(f"lintian --allow-root --suppress-tags {SUPPRESSED[chroot.suite]} --display-info --fail-on error,warning,info one/*.changes")
    overrides = [line for f in (TREE / "debian").glob("*.lintian-overrides") for line in f.read_text().splitlines() if not line.startswith("#")]
    return f"nothing; {len(overrides)} overrides" if not re.search(r"^[EWI]: ", said, re.M) else said


def examples(chroot):
    """Each by its own tool, where this Debian has it."""
    chroot.do("dpkg -i --force-depends --no-triggers one/sallyport-policy_*.deb > /dev/null; python3 source/tests/release/examples.py source/examples")
    return "each accepted by its tool"


def autopkgtest(chroot):
    """Of debian/tests what needs no machine of its own; the rest is the step `guest`."""
    said = chroot.do("autopkgtest --apt-upgrade --test-name=serve one/*.deb source/ -- null")
    return re.search(r"^serve +PASS$", said, re.M)[0]


def spec(chroot):
    said = chroot.do("rpmspec -P source/packaging/sallyport.spec > /dev/null && rpmlint source/packaging/sallyport.spec")
    return re.search(r"\d+ errors, \d+ warnings", said)[0]


def guest(chroot):
    """A guest of this Debian that the packages are installed in."""
    said = run(sys.executable, HERE / "guest.py", chroot.store / "guest", chroot.packages, chroot.suite)
    return said.strip()


def old_kernel(chroot):
    """A guest of this Debian with the kernel of Debian 11, which has no Landlock."""
    said = run(sys.executable, HERE / "guest.py", chroot.store / "old_kernel", chroot.packages, chroot.suite, "bullseye")
    return said.strip()


def tests(chroot):
    """The tree is compiled and tested there; without much optimization, which the packages have."""
    chroot.do("cd source && ./dev setup && meson setup build -Dselinux=enabled -Doptimization=1 -Ddebug=false")
    said = chroot.do("cd source && ./dev test").strip().splitlines()[-1]
    assert re.fullmatch(r"\d+ passed, 0 failed", said), said
    return said


STEPS = {
    "bookworm": (packages, lintian, autopkgtest, examples, spec, guest, old_kernel, reproducible),
    "trixie": (packages, lintian, autopkgtest, guest, tests),
}


def play(step, chroot):
    started = time.monotonic()
    try:
        verdict, text = "ok  ", step(chroot)
    except Exception as fault:  # whatever it is, it is this step's failure
        verdict, text = "FAIL", str(fault)
    print(f"{verdict} {chroot.name} {step.__name__:<14} {time.monotonic() - started:5.0f} s  {text}", flush=True)
    return verdict == "ok  "


def play_all(chroot, steps, chosen):
    """The steps that were chosen, or all; the status of the program."""
    if os.geteuid() != 0:
        print("release-test: making a tree of Debian needs root", file=sys.stderr)
        return 1
    chroot.make()
    results = [play(step, chroot) for step in steps if not chosen or step.__name__ in chosen]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


def main():
    build, suite, *chosen = sys.argv[1:]
    return play_all(Chroot(build, suite, suite), STEPS[suite], chosen)


if __name__ == "__main__":
    sys.exit(main())
