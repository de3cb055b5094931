"""A guest that libvirt boots. The daemon is the test's own: an ordinary user's, with folders of its own, so that it sees nothing of this machine."""
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from xml.sax.saxutils import escape

from channel import Shell
from guest import Guest

USER = "sallyport"  # who is there wherever the agent is tested
VIRSH_PATIENCE = 120
BOOT_PATIENCE = 300  # of the reboot, too
# Namespaces of networks, mounts and processes. A shell is the first of these: it reaps what libvirt has started, without which libvirt waits for a
# QEMU that has ended. All end with it, and it ends with the tests.
ALONE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--mount-proc", "--net", "setpriv", "--pdeathsig", "KILL",
         "sh", "-c", '"$@" & wait', "sh", "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
# Everything that the daemon sends an agent and hears from it is in its log; no other daemon (logs, locks) is needed.
DAEMON = """auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "7d3e1a52-9f64-4c1b-8a05-2b6c7d8e9f10"
log_filters = "1:qemu.qemu_agent"
log_outputs = "1:file:{log}"
"""
QEMU = """stdio_handler = "file"
security_driver = "none"
"""
DOMAIN = """<domain type='qemu'>
  <name>guest</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>{processors}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{folder}/kernel</kernel>
    <initrd>{folder}/initrd</initrd>
    <cmdline>{command_line}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <clock offset='utc'/>
  <pm><suspend-to-mem enabled='yes'/><suspend-to-disk enabled='yes'/></pm>
  <devices>
    {disks}
    <controller type='usb' model='none'/>
    <interface type='user'><mac address='52:54:00:00:00:13'/><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='file'><source path='{folder}/console' append='on'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'><source mode='bind' path='{folder}/shell'/><target type='virtio' name='org.sallyport.test'/></channel>
    <memballoon model='none'/>
  </devices>
</domain>
"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='raw' cache='unsafe' discard='unmap'/>
      <source file='{file}'/><target dev='{name}' bus='virtio'/></disk>"""


class LibvirtGuest(Guest):
    daemon = watcher = None

    def power_on(self):
        self.start_daemon()
        started = time.monotonic()
        self.watch_events()
        self.virsh("create", self.write("domain.xml", self.domain()))
        self.shell = Shell(self.path("shell"))
        self.wait_for_agent()
        self.note(f"up in {time.monotonic() - started:.0f} s")

    def watch_events(self):
        """From now on what libvirt tells of the guest is in a file."""
        with open(self.path("events"), "ab") as log:
            self.watcher = subprocess.Popen(self.words_of_virsh("event", "--all", "--loop"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.as_user())

    def wait_for_event(self, text, patience=BOOT_PATIENCE, times=1):
        end = time.monotonic() + patience
        while self.read("events").count(text) < times:
            assert time.monotonic() < end, f"no event '{text}' in {patience} s; there were {self.read('events')}"
            time.sleep(0.1)

    def commands_asked(self):
        """Of the agent, by libvirt, so far; the syncs have their own lines."""
        return set(re.findall(r"Send command '{\"execute\":\"([^\"]+)\"", self.read("libvirtd.log")))

    def wait_for_agent(self):
        """Until libvirt itself takes the agent for connected, which it does when the guest has opened the port, and has had an answer."""
        self.wait_until("qemu-agent-command", "guest", '{"execute": "guest-ping"}')
        self.shell.get("true", BOOT_PATIENCE)

    def wait_until(self, *words):
        """A verb succeeds."""
        end = time.monotonic() + BOOT_PATIENCE
        while (done := self.try_virsh(*words)).returncode != 0:
            assert time.monotonic() < end, f"virsh {' '.join(words)}: {done.stderr}"
            time.sleep(1)  # asking takes processor time from the guest

    def domain(self):
        shutil.copyfile(self.images.kernel, self.path("kernel"))
        disks = [DISK.format(file=disk, name=f"vd{'abcd'[at]}") for at, disk in enumerate(self.disks)]
        return DOMAIN.format(folder=self.folder, memory=getattr(self.case, "MEMORY", 640), processors=getattr(self.case, "PROCESSORS", 1),
                             command_line=escape(self.command_line()), disks="\n    ".join(disks))

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def start_daemon(self):
        self.user = pwd.getpwnam(USER)
        self.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "HOME": self.folder, "XDG_RUNTIME_DIR": self.path("run"),
                            "XDG_CONFIG_HOME": self.path("config"), "XDG_CACHE_HOME": self.path("cache"), "XDG_DATA_HOME": self.path("data")}
        config = self.write("config/libvirt/libvirtd.conf", DAEMON.format(log=self.path("libvirtd.log")))
        self.write("config/libvirt/qemu.conf", QEMU)
        os.makedirs(self.path("run"))
        subprocess.run(["chown", "-R", f"{self.user.pw_uid}:{self.user.pw_gid}", self.folder], check=True)
        with open(self.path("daemon.out"), "ab") as log:
            self.daemon = subprocess.Popen([*ALONE, "/usr/sbin/libvirtd", "--config", config],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment, cwd=self.folder)
        end = time.monotonic() + 60
        while self.try_virsh("version").returncode != 0:
            assert self.daemon.poll() is None and time.monotonic() < end, "libvirtd does not start:\n" + self.read("daemon.out")
            time.sleep(0.2)

    def as_user(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [], "env": self.environment, "cwd": self.folder}

    def read(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def words_of_virsh(self, *words):
        return ["virsh", "-c", f"qemu+unix:///session?socket={self.path('run/libvirt/libvirt-sock')}", *words]

    def try_virsh(self, *words):
        return subprocess.run(self.words_of_virsh(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=VIRSH_PATIENCE, **self.as_user())

    def virsh(self, *words):
        """What a verb prints that succeeds."""
        done = self.try_virsh(*words)
        assert done.returncode == 0, f"virsh {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def virsh_error(self, *words):
        done = self.try_virsh(*words)
        assert done.returncode != 0, f"virsh {' '.join(words)} succeeds: {done.stdout}"
        return done.stderr.strip()

    def end(self):
        if self.watcher:
            self.watcher.kill()
            self.watcher.wait()
        if self.daemon:
            # The first process is reaped when all others of its namespace have ended.
            with open(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children") as file:
                for pid in file.read().split():
                    os.kill(int(pid), signal.SIGKILL)
            self.daemon.wait()
