"""The guest that packages are installed in: Debian with its own qemu-guest-agent, and a folder with packages; no network."""
import hashlib
import pathlib
import re
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))

from images import Images, run  # noqa: E402

# Besides what our packages depend on, which is in the guest so that no network is needed.
PACKAGES = ("systemd", "systemd-sysv", "udev", "dbus", "kmod", "procps", "e2fsprogs", "init-system-helpers", "apparmor", "qemu-guest-agent")
UPGRADES = 3
# By lists of its own: the guest's stay those of its Debian.
FETCH_KERNEL = """
    mkdir -p /tmp/kernel/lists; cd /tmp/kernel
    sed 's/ [a-z]* main.*/ %s main/' /etc/apt/sources.list > list
    options='-q -o APT::Sandbox::User=root -o Dir::Etc::SourceList=/tmp/kernel/list -o Dir::Etc::SourceParts=/none -o Dir::State::Lists=/tmp/kernel/lists'
    apt-get $options update
    apt-get $options download $(apt-cache $options depends %s | sed -n 's/.*Depends: linux-image-/linux-image-/p')
"""


def control(package, field):
    return run("dpkg-deb", "-f", package, field)


def dependencies(packages):
    """The packages that ours need, the first of each alternative."""
    ours = {control(p, "Package").strip() for p in packages}
    named = set()
    for package in packages:
        for word in filter(None, control(package, "Depends").strip().split(",")):
            named.add(re.match(r"\s*([a-z0-9.+-]+)", word)[1])
    return named - ours


def repack(package, version, folder):
    """The same package as a later version, which is all that an upgrade needs to be."""
    tree = folder / "repacked"
    shutil.rmtree(tree, ignore_errors=True)
    run("dpkg-deb", "-R", package, tree)
    old = control(package, "Version").strip()
    text = (tree / "DEBIAN/control").read_text()
    (tree / "DEBIAN/control").write_text(text.replace(f"Version: {old}", f"Version: {version}").replace(f"(= {old})", f"(= {version})"))
    run("dpkg-deb", "--root-owner-group", "-b", tree, folder)
    shutil.rmtree(tree)


class PackagedImages(Images):
    def __init__(self, store, packages, suite, kernel_of=None):
        super().__init__(store)
        self.packages, self.suite = sorted(packages), suite
        self.kernel_of = kernel_of or suite

    def install_agent(self):
        """Nothing: that is what the case does. The folder stays empty."""
        self.stage = self.store / "stage"
        self.stage.mkdir(exist_ok=True)
        digest = hashlib.sha256()
        for file in sorted([*self.packages, HERE / "packaged.py", *HERE.parent.glob("vm/*.py"), *HERE.parent.glob("vm/guest/**/*")]):
            if file.is_file():
                digest.update(file.read_bytes())
        self.version = digest.hexdigest()[:16]

    def fetch_kernel(self):
        """The one of that Debian or of another, whose modules may be compressed."""
        tree = self.store / "kernel"
        if not tree.exists():
            self.fetch_debian()
            folder = self.store / "kernel.new"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self.do_in(self.debian, FETCH_KERNEL % (self.kernel_of, self.machine.kernel_package))
            run("dpkg-deb", "-x", next((self.debian / "tmp/kernel").glob("linux-image-*.deb")), folder)
            shutil.rmtree(self.debian / "tmp/kernel")
            # From Debian 13 on /lib is a link, and packages do not go through it.
            if not (folder / "lib").exists():
                (folder / "lib").symlink_to("usr/lib")
            run("find", folder, "-name", "*.ko.xz", "-exec", "xz", "-d", "{}", "+")
            folder.rename(tree)
        super().fetch_kernel()

    @staticmethod
    def do_in(tree, command):
        shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
        return run("chroot", tree, "sh", "-ec", command)

    def wanted(self):
        return self.suite, sorted({*PACKAGES, *dependencies(self.packages)})

    def put_agent(self, tree):
        folder = tree / "packages"
        for number in range(UPGRADES + 1):
            (folder / str(number)).mkdir(parents=True)
            for package in self.packages:
                version = control(package, "Version").strip() + (f"+{number}" if number else "")
                repack(package, version, folder / str(number))
        # Debian's own, to go back to.
        (folder / "qemu").mkdir()
        self.do_in(tree, "cd /packages/qemu && apt-get update && apt-get -o APT::Sandbox::User=root download qemu-guest-agent && apt-get clean")
        run("chmod", "-R", "a+rX", folder)
