"""Guests of 64-bit ARM: the agent in an initramfs, and a Debian in which programs of tests are run."""
import hashlib
import pathlib
import re
import shutil
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))

from guest import BOOT_PATIENCE, Guest  # noqa: E402
from images import Images, run  # noqa: E402
from machines import ARM64  # noqa: E402

TRIPLET = "aarch64-linux-gnu"
# What the programs of tests need besides the agent's libraries: file systems, qemu-ga to compare with, users, networks.
PACKAGES = ("python3", "libprotobuf-lite32", "libseccomp2", "libcap-ng0", "libmd0", "libtomlplusplus3", "libstdc++6", "libmount1", "libudev1", "libmnl0",
            "libglib2.0-0", "libabsl20220623", "libboost-json1.81.0", "iproute2", "e2fsprogs", "xfsprogs", "btrfs-progs", "qemu-guest-agent", "kmod",
            "procps", "socat", "udev", "openssh-client")
DISK_SIZE = "3G"
RUN = 4 * 3600  # seconds
SLOWER = 60  # times, where other work leaves it a quarter of a processor


class ArmImages(Images):
    machine = ARM64

    def __init__(self, tree):
        super().__init__(tree.store)
        self.tree = tree
        self.busybox = self.store / "busybox/bin/busybox"

    def make(self):
        self.fetch_kernel()
        self.install_agent()
        self.make_initramfs()

    def fetch(self, package, to):
        """What a package of that architecture has in it."""
        if to.exists():
            return
        new = to.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        self.tree.do(f"rm -rf fetched; mkdir fetched; cd fetched; apt-get -q -o APT::Sandbox::User=root download {package}")
        run("dpkg-deb", "-x", next((self.tree.root / "build/fetched").glob("*.deb")), new)
        new.rename(to)

    def fetch_kernel(self):
        newest = f"$(apt-cache depends {self.machine.kernel_package}:arm64 | sed -n 's/.*Depends: \\(linux-image-[^:]*\\).*/\\1:arm64/p')"
        self.fetch(newest, self.store / "kernel")
        self.fetch("busybox-static:arm64", self.store / "busybox")
        super().fetch_kernel()

    def install_agent(self):
        self.stage = self.tree.root / "build/stage"
        self.tree.do("rm -rf stage; meson install -C cross --no-rebuild --strip --destdir /build/stage > /dev/null")

    def libraries_of(self, program):
        found, waiting = set(), [program]
        while waiting:
            words = run("readelf", "-W", "-l", "-d", waiting.pop())
            names = {f"/lib/{TRIPLET}/{name}" for name in re.findall(r"\(NEEDED\).*\[(?!ld-)(.+)\]", words)}
            waiting += [self.place_of(name) for name in names - found]
            found |= names | set(re.findall(r"interpreter: (\S+)\]", words))
        return found

    def place_of(self, library):
        """In the tree, whose links are not this machine's."""
        inside = self.tree.root / library.lstrip("/")
        return inside if inside.exists() else self.tree.root / "usr" / library.lstrip("/")

    def wanted(self):
        return "bookworm", PACKAGES

    def make_root(self):
        """A disk with Debian. Another processor's packages are unpacked here, and what their scripts would do that the tests need is done by hand."""
        self.fetch_debian()
        made_of = self.debian.name.encode() + pathlib.Path(__file__).read_bytes()
        self.root = self.store / f"root-{hashlib.sha256(made_of).hexdigest()[:16]}.img"
        if self.root.exists():
            return
        for old in self.store.glob("root-*.img"):
            old.unlink()
        tree = self.store / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        run("cp", "-a", self.debian, tree)
        for package in (tree / "var/cache/apt/archives").glob("*.deb"):
            run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"', "sh", package, tree)
            package.unlink()
        self.settle(tree)
        modules = tree / "lib/modules" / self.modules.name
        run("mkdir", "-p", modules.parent)
        run("cp", "-a", self.modules, modules)
        run("depmod", "-b", tree, self.modules.name)
        self.disk_of(tree, "root.new", DISK_SIZE).rename(self.root)
        shutil.rmtree(tree)

    @staticmethod
    def settle(tree):
        """Users, names, passwords, and where /proc will be: in a container debootstrap leaves a link to itself there."""
        if (tree / "proc").is_symlink():
            (tree / "proc").unlink()
        (tree / "proc").mkdir(exist_ok=True)
        for name, ours in (("passwd", "sallyport:x:990:990::/:/usr/sbin/nologin\n"), ("group", "sallyport:x:990:\n")):
            text = (tree / f"usr/share/base-passwd/{name}.master").read_text().replace(":*:", ":x:")
            (tree / "etc" / name).write_text(text + ours)
        users = [line.split(":")[0] for line in (tree / "etc/passwd").read_text().splitlines()]
        (tree / "etc/shadow").write_text("".join(f"{user}:*:19700:0:99999:7:::\n" for user in users))
        (tree / "etc/shadow").chmod(0o640)
        shutil.copy(tree / "usr/share/libc-bin/nsswitch.conf", tree / "etc/nsswitch.conf")
        for kind, more in (("account", ""), ("auth", ""), ("password", " yescrypt"), ("session", "")):
            (tree / f"etc/pam.d/common-{kind}").write_text(f"{kind} required pam_unix.so{more}\n")
        (tree / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
        (tree / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        (tree / "etc/hostname").write_text("guest\n")
        (tree / "usr/bin/awk").symlink_to("mawk")
        (tree / "build").mkdir()

    def disk_of(self, folder, name, size):
        disk = self.store / name
        disk.unlink(missing_ok=True)
        run("mke2fs", "-q", "-t", "ext4", "-d", folder, disk, size)
        return disk

    def disks_for(self, folder):
        """A copy of the disk with Debian, and one with what is to be run."""
        root = pathlib.Path(folder) / "root.img"
        run("cp", "--sparse=always", self.root, root)
        self.tree.do("rm -rf programs; mkdir -p programs/cross; cp -a source programs/; cp -a cross/meson-info programs/cross/; cd cross; "
                     "find . -type f -perm -u+x ! -name '*.so' | while read -r f; do "
                     f"mkdir -p \"../programs/cross/${{f%/*}}\"; {TRIPLET}-strip -g -o \"../programs/cross/$f\" \"$f\"; done")
        return [root, self.disk_of(self.tree.root / "build/programs", "programs.img", DISK_SIZE)]


class ProgramsGuest(Guest):
    """Is there as long as the block that it is made for."""

    def __init__(self, images, folder, disks):
        super().__init__(images, folder, types.SimpleNamespace(GUEST="programs", POLICY="", MEMORY=3072, PROCESSORS=2))
        self.disks = disks

    def __enter__(self):
        self.start_qemu()
        self.shell.get("true", BOOT_PATIENCE)
        return self

    def __exit__(self, *_):
        self.end()


def run_programs(images, words):
    """What tests/run.py says of them, in a guest."""
    with tempfile.TemporaryDirectory(prefix="sallyport-vm-") as folder:
        with ProgramsGuest(images, folder, images.disks_for(folder)) as guest:
            guest.shell.run(f"cd /build/source && SALLYPORT_TIMES_SLOWER={SLOWER} python3 tests/run.py /build/cross {' '.join(words)} 2>&1 | tee /dev/console > /run/said", RUN)
            return guest.shell.get("cat /run/said", 300)
