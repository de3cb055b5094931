"""What the guests are made of: Debian's cloud kernel, an initramfs with busybox, a disk with Debian. Kept in build/vm."""
import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import cpio
import machines

HERE = pathlib.Path(__file__).resolve().parent
# In the guest of Debian: systemd, what the agent links, qemu-ga to compare with.
PACKAGES = ("systemd", "systemd-sysv", "udev", "dbus", "libprotobuf-lite32", "libseccomp2", "libcap-ng0", "libmd0",
            "libtomlplusplus3", "libstdc++6", "libmount1", "libudev1", "libmnl0", "iproute2", "dmsetup",
            "qemu-guest-agent", "kmod", "procps", "socat", "openssh-client", "selinux-policy-default", "policycoreutils", "apparmor")
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "button", "loop", "vsock_loopback", "autofs4")
DISK_SIZE = "1200M"
SWAP_SIZE = 768 << 20


def run(*words, **options):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True, **options).stdout


def copy_of_disk(disk, place):
    """Most of it is empty, and is not written."""
    run("cp", "--sparse=always", disk, place)


class Images:
    machine = machines.AMD64
    busybox = "/bin/busybox"

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.store = self.build / "vm"
        self.store.mkdir(exist_ok=True)

    def make(self):
        self.fetch_kernel()
        self.fetch_debian()
        self.install_agent()
        self.make_initramfs()
        self.make_disk()

    def fetch_kernel(self):
        self.kernel_tree = self.store / "kernel"
        if not self.kernel_tree.exists():
            found = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", self.machine.kernel_package))
            run("apt-get", "download", found[1], cwd=self.store)
            package = glob.glob(f"{self.store}/linux-image-*.deb")[0]
            run("dpkg-deb", "-x", package, self.store / "kernel.new")
            (self.store / "kernel.new").rename(self.kernel_tree)
        self.kernel = glob.glob(f"{self.kernel_tree}/boot/vmlinuz-*")[0]
        self.modules = pathlib.Path(glob.glob(f"{self.kernel_tree}/lib/modules/*")[0])

    def wanted(self):
        return "bookworm", PACKAGES

    def fetch_debian(self):
        suite, packages = self.wanted()
        self.debian = self.store / ("debian." + hashlib.sha256(" ".join(packages).encode()).hexdigest()[:16])
        if self.debian.exists():
            return
        for old in self.store.glob("debian.*"):
            shutil.rmtree(old)
        new = self.store / "debian.new"
        shutil.rmtree(new, ignore_errors=True)
        mirror = re.search(r"^URIs: (\S+/debian)$|^deb (?:\[.*\] )?(\S+/debian)/? ", self.apt_sources(), re.M)
        words = ["debootstrap", "--variant=minbase", *self.machine.debootstrap, "--include=" + ",".join(packages), suite, new]
        run(*words, *([mirror[1] or mirror[2]] if mirror else []))
        new.rename(self.debian)

    @staticmethod
    def apt_sources():
        places = ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*")]
        return "".join(pathlib.Path(p).read_text() for p in places if os.path.exists(p))

    def install_agent(self):
        self.stage = self.store / "stage"
        shutil.rmtree(self.stage, ignore_errors=True)
        # Without symbols, as packages are: every guest unpacks it, or copies it.
        run("meson", "install", "-C", self.build, "--no-rebuild", "--strip", "--destdir", self.stage)
        digest = hashlib.sha256()
        for file in sorted([*self.stage.rglob("*"), *HERE.glob("*.py"), *HERE.glob("guest/**/*")]):
            if file.is_file():
                digest.update(file.read_bytes())
        self.version = digest.hexdigest()[:16]

    def libraries_of(self, program):
        """Where the guest has them."""
        return re.findall(r"(/\S+) \(0x", run("ldd", program))

    @staticmethod
    def place_of(library):
        """Where a library of the guest is here."""
        return library

    def module_files(self):
        """The modules that the guests load, each after those that it needs; what is built into the kernel is none."""
        names = {re.sub(r"\.ko$", "", p.name).replace("-", "_"): p for p in self.modules.rglob("*.ko")}
        built_in = {pathlib.Path(line).stem.replace("-", "_") for line in (self.modules / "modules.builtin").read_text().split()}
        ordered = []

        def add(name):
            needed = run("modinfo", "-F", "depends", names[name]).strip()
            for other in filter(None, needed.split(",")):
                add(other.replace("-", "_"))
            if names[name] not in ordered:
                ordered.append(names[name])

        for name in (*MODULES, *self.machine.modules):
            if name not in built_in:
                add(name)
        return ordered

    def make_initramfs(self):
        archive = cpio.Archive()
        for folder in ("proc", "sys", "dev", "run", "tmp", "root", "case", "new", "var/lib"):
            archive.folder(folder)
        archive.file(self.busybox, "bin/busybox")
        archive.link("bin/sh", "busybox")
        for name in ("init", "agent-guest", "programs-guest", "shell"):
            archive.text(name, (HERE / "guest" / name).read_bytes(), 0o755)
        files = self.module_files()
        for file in files:
            archive.file(file, f"modules/{file.name}")
        archive.text("modules/order", "".join(f"{f.name}\n" for f in files))
        # All that is needed to go over to what is on the disk: what is large makes each boot late.
        self.small_initramfs = archive.bytes()
        programs = [p for p in self.stage.rglob("*") if p.is_file() and not p.is_symlink()]
        libraries = set()
        for program in programs:
            archive.file(program, "/" + str(program.relative_to(self.stage)))
            if os.access(program, os.X_OK) and program.read_bytes()[:4] == b"\x7fELF":
                libraries.update(self.libraries_of(program))
        for library in sorted(libraries):
            archive.file(self.place_of(library), library)
        archive.text("etc/passwd", "root:x:0:0::/root:/bin/sh\nsallyport:x:990:990::/:/bin/false\n")
        archive.text("etc/group", "root:x:0:\nsallyport:x:990:\n")
        self.initramfs = archive.bytes()

    def make_disk(self):
        self.disk = self.store / f"debian-{self.version}.img"
        if self.disk.exists():
            return
        for old in self.store.glob("debian-*.img"):
            old.unlink()
        tree = self.store / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        run("cp", "-a", self.debian, tree)
        run("cp", "-a", "--no-preserve=ownership", f"{HERE}/guest/debian/.", tree)
        run("cp", "-a", "--no-preserve=ownership", HERE / "guest" / "shell", tree / "usr/local/sbin/test-shell")
        modules = tree / "lib/modules" / self.modules.name
        run("mkdir", "-p", modules.parent)
        run("cp", "-a", self.modules, modules)
        run("depmod", "-b", tree, modules.name)
        run("chroot", tree, "/bin/sh", "/root/prepare")
        self.put_agent(tree)
        new = self.store / "disk.new"
        new.unlink(missing_ok=True)
        run("mke2fs", "-q", "-t", "ext4", "-d", tree, new, DISK_SIZE)
        new.rename(self.disk)
        shutil.rmtree(tree)

    def put_agent(self, tree):
        run("cp", "-a", "--no-preserve=ownership", f"{self.stage}/.", tree)
        run("chroot", tree, "/bin/sh", "/root/prepare-agent")
        # Labels for SELinux, which a guest without it does not look at.
        run("setfiles", "-F", "-r", tree, tree / "etc/selinux/default/contexts/files/file_contexts", tree)

    def initrd_for(self, folder, files, has_disk):
        """The initramfs with the case's own files in /case."""
        archive = cpio.Archive()
        for name, text in files.items():
            archive.text(f"case/{name}", text)
        path = pathlib.Path(folder) / "initrd"
        path.write_bytes((self.small_initramfs if has_disk else self.initramfs) + archive.bytes())
        return path

    def disks_for(self, folder):
        """A disk with Debian and an empty one for swap, which a case may change."""
        root, swap = pathlib.Path(folder) / "root.img", pathlib.Path(folder) / "swap.img"
        copy_of_disk(self.disk, root)
        with open(swap, "wb") as file:
            file.truncate(SWAP_SIZE)
        run("mkswap", "-q", swap)
        return root, swap
