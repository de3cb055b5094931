"""A guest with SELinux enforcing and no refusal silenced, booted once and saved; each case that wants Debian is played in a copy of it, or,
if it wants another machine, in one that is booted for it.

What an admin of such a guest does is done before it is saved: switches on. What a case needs besides it says as UNDER_SELINUX, lines for the
guest's shell; None: it is not played."""
import pathlib
import shutil
import threading
import types

import labels
from denials import by_selinux
from guest import Guest
from images import copy_of_disk

KERNEL_OPTIONS = ("security=selinux selinux=1 enforcing=1 log_buf_len=16M audit_backlog_limit=65536 "
                  "sysctl.kernel.printk_ratelimit=0 loglevel=6")
# What makes a machine another one.
MACHINE = ("devices", "MEMORY", "PROCESSORS")
SWITCHES = ("read_exports", "write_imports", "unconfined_programs", "cut_network", "change_accounts", "set_clock", "set_devices",
            "other_channels")
LABELLED = "/usr/local /srv /var/lib /home /etc"
making = threading.Lock()


def saved(images):
    """The folder with the state of memory and disks."""
    folder = images.store / f"enforcing-{images.version}"
    with making:
        if not (folder / "state").exists():
            for old in images.store.glob("enforcing-*"):
                shutil.rmtree(old)
            new = images.store / "enforcing.new"
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            save(images, new)
            new.rename(folder)
    return folder


def save(images, folder):
    case = types.SimpleNamespace(GUEST="debian", POLICY="schema = 1\n", KERNEL_OPTIONS=KERNEL_OPTIONS)
    guest = Guest(images, str(folder), case)
    try:
        guest.power_on()
        assert guest.shell.get("getenforce") == "Enforcing"
        guest.host.close()
        guest.shell.get("systemctl stop sallyport; rm -rf /var/lib/sallyport/*")
        guest.shell.close()
        guest.qmp.ask("stop")
        guest.qmp.ask("migrate", uri=f"exec:cat > {folder}/state")
        guest.qmp.wait_until("query-migrate", "completed")
        guest.qmp.ask("quit")
        guest.process.wait(60)
    finally:
        guest.end()


class Copy(Guest):
    """Continues where the saved one stopped; what is powered on after that, or reset, boots from the copy's disks. Switches are off again then."""

    def __init__(self, images, folder, case):
        self.wanted = case
        self.state = None
        self.is_prepared = False
        kept = {name: getattr(case, name) for name in dir(case) if name.isupper() or name == "devices"} | {"KERNEL_OPTIONS": KERNEL_OPTIONS}
        if any(hasattr(case, name) for name in MACHINE):
            kept["POLICY"] = "schema = 1\n"  # until the switches are on
        else:
            self.state = saved(images) / "state"
        super().__init__(images, folder, types.SimpleNamespace(**kept))

    def make_disks(self):
        if self.state is None:
            return super().make_disks()
        disks = [pathlib.Path(self.folder) / name for name in ("root.img", "swap.img")]
        for disk in disks:
            copy_of_disk(self.state.parent / disk.name, disk)
        return disks

    def incoming(self):
        state, self.state = self.state, None
        return ("-incoming", f"exec:cat {state}") if state else ()

    def power_on(self):
        if self.is_prepared or self.state is None:
            super().power_on()
        else:
            self.start_qemu()
            # As it was saved.
            self.qmp.wait_until("query-status", "paused")
            self.qmp.ask("cont")
            self.shell.get("true", 120)
        if not self.is_prepared:
            self.prepare()

    def prepare(self):
        """What an admin does for the case."""
        self.is_prepared = True
        self.shell.get("setsebool " + " ".join(f"sallyport_{one}=1" for one in SWITCHES), 120)
        if hasattr(self.wanted, "PREPARE"):
            self.write("/run/prepare", self.wanted.PREPARE)
            self.shell.get(f"sh /run/prepare '' && restorecon -R {LABELLED}", 120)
        for line in getattr(self.wanted, "UNDER_SELINUX", "").splitlines():
            self.shell.get(line, 120)
        self.use_policy(self.wanted.POLICY)

    def check_labels(self):
        labels.check(self.shell, labels.DOMAINS)

    def denials(self):
        return by_selinux(self.console())
