"""One guest: QEMU without acceleration by the processor, started, watched and ended."""
import base64
import os
import signal
import subprocess
import time

import labels
from channel import Host, Shell
from denials import by_apparmor
from qmp import Qmp

BOOT_PATIENCE = 900
DROP_INS = "/etc/systemd/system/sallyport.service.d"
DEVICES = ("-device", "virtio-serial-pci",
           "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
           "-device", "virtserialport,chardev=shell,name=org.sallyport.test",
           "-device", "virtserialport,chardev=compare,name=org.sallyport.compare")


class Guest:
    def __init__(self, images, folder, case):
        self.images, self.folder, self.case = images, folder, case
        self.notes = []
        self.process = None
        self.is_debian = case.GUEST == "debian"
        self.disks = self.make_disks() if self.is_debian or getattr(case, "SWAP", False) else ()
        settings = {"GUEST": case.GUEST, "RESUME": "vdb" if self.disks else "",
                    "SWAP": "vdb" if getattr(case, "SWAP", False) else "",
                    "AGENT_OPTIONS": getattr(case, "AGENT_OPTIONS", "")}
        files = {"settings": "".join(f"{name}='{value}'\n" for name, value in settings.items()),
                 "policy.toml": case.POLICY}
        if hasattr(case, "PREPARE"):
            files["prepare"] = case.PREPARE
        self.initrd = images.initrd_for(folder, files, case.GUEST != "initramfs")

    def note(self, text):
        """Evidence, shown beside the case's name."""
        self.notes.append(text)

    def make_disks(self):
        return self.images.disks_for(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def power_on(self):
        """Starts QEMU with what is on the disks, and waits until the agent answers."""
        self.start_qemu()
        started = time.monotonic()
        self.host.sync(BOOT_PATIENCE)
        self.shell.get("true", BOOT_PATIENCE)
        self.note(f"up in {time.monotonic() - started:.0f} s")

    def command_line(self):
        """The kernel's."""
        words = [f"console={self.images.machine.console} panic=-1 no_console_suspend"]
        if self.is_debian:
            words.append("root=/dev/vda rw resume=/dev/vdb systemd.journald.forward_to_console=1 sysctl.kernel.printk_ratelimit=0")
        if self.adds_memory():
            words.append("memhp_default_state=online_movable")
        return " ".join([*words, getattr(self.case, "KERNEL_OPTIONS", "")])

    def adds_memory(self):
        """Whether the case takes memory away and the machine is one whose own stays."""
        return getattr(self.case, "TAKES_MEMORY", False) and not self.images.machine.memory_goes

    def start_qemu(self):
        words = [*self.images.machine.qemu, "-accel", "tcg", "-m", f"{getattr(self.case, 'MEMORY', 640)}{',maxmem=4G' if self.adds_memory() else ''}", "-smp", str(getattr(self.case, "PROCESSORS", 1)),
                 "-nodefaults", "-no-user-config", "-display", "none", "-kernel", self.images.kernel,
                 "-initrd", str(self.initrd), "-append", self.command_line(),
                 "-chardev", f"file,id=console,path={self.path('console')},append=on", "-serial", "chardev:console",
                 "-qmp", f"unix:{self.path('qmp')},server=on,wait=off"]
        for name in ("agent", "shell", "compare"):
            words += ["-chardev", f"socket,id={name},path={self.path(name)},server=on,wait=off"]
        for disk in self.disks:
            words += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
        words += DEVICES
        if self.adds_memory():
            words += ["-object", "memory-backend-ram,id=added,size=512M", "-device", "virtio-mem-pci,memdev=added,requested-size=512M"]
        words += self.incoming()
        if hasattr(self.case, "devices"):
            words += self.case.devices(self)
        with open(self.path("qemu.log"), "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.qmp = Qmp(self.path("qmp"))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.process.poll() is None and time.monotonic() < deadline, "QEMU does not start"
                time.sleep(0.05)
        self.host, self.shell = Host(self.path("agent")), Shell(self.path("shell"))

    def incoming(self):
        """What QEMU is told of a saved guest that it goes on with."""
        return ()

    def denials(self):
        """What AppArmor, which Debian has switched on, has refused to the agent."""
        return by_apparmor(self.console())

    def check_labels(self):
        """Every process of the agent is in its profile."""
        labels.check(self.shell, labels.PROFILES)

    def will_sleep(self, seconds):
        """Before it is put to sleep: a machine that its host does not wake is woken by its clock so much later."""
        if not self.images.machine.firmware_sleeps:
            self.shell.get(f"echo 0 > /sys/class/rtc/rtc0/wakealarm; echo +{seconds} > /sys/class/rtc/rtc0/wakealarm")

    def wait_until_asleep(self):
        if self.images.machine.firmware_sleeps:
            self.qmp.wait_for("SUSPEND", 120)
            assert self.qmp.ask("query-status")["status"] == "suspended"
        else:
            self.wait_for_console("PM: suspend entry (s2idle)")

    def wake(self):
        if self.images.machine.firmware_sleeps:
            self.qmp.ask("system_wakeup")
            self.qmp.wait_for("WAKEUP")
        else:
            self.wait_for_console("PM: suspend exit", 200)

    def wait_until_off(self, patience=180):
        """QEMU has ended, since the guest has powered itself down."""
        return self.process.wait(patience)

    def wait_for_console(self, text, patience=120):
        end = time.monotonic() + patience
        while text not in self.console():
            assert time.monotonic() < end, f"'{text}' does not come on the console"
            time.sleep(0.1)

    def console(self):
        try:
            with open(self.path("console"), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def boot_id(self):
        return self.shell.get("cat /proc/sys/kernel/random/boot_id")

    def audit(self):
        """The agent's records, as text."""
        return self.shell.get("cat /var/lib/sallyport/audit.jsonl")

    def write(self, path, text):
        self.shell.get(f"echo {base64.b64encode(text.encode()).decode()} | base64 -d > {path}")

    def use_policy(self, text):
        """As an admin does: the policy, the drop-ins of the unit that it needs, a restart."""
        self.write("/etc/sallyport/policy.toml", text)
        self.shell.get(f"mkdir -p {DROP_INS}; rm -f {DROP_INS}/*; for f in $(sallyport-policy unit /etc/sallyport/policy.toml); "
                       f"do ln -s $f {DROP_INS}; done; systemctl daemon-reload; systemctl restart sallyport", BOOT_PATIENCE)
        self.host.sync()

    def main_process(self):
        """Of the agent under the unit; "0" while there is none."""
        return self.shell.get("systemctl show sallyport -p MainPID --value")

    def wait_for_next_agent(self, before):
        """Until the one whose main process was `before` has been followed: its last worker may still take a request that nobody answers."""
        self.shell.get(f"until p=$(systemctl show sallyport -p MainPID --value) && [ $p != 0 ] && [ $p != {before} ]; do sleep 0.1; done")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
