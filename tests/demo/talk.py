"""A host's end of the conversation, the agent's start and end, and what /proc shows of its processes."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import processes  # noqa: E402: found through the line above

PATIENCE = 15
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
CAPABILITIES = {1: "DAC_OVERRIDE", 2: "DAC_READ_SEARCH"}


class Agent:
    """sallyportd on a unix socket, with all of its files in a scratch folder."""

    def __init__(self, build, scratch, policy):
        self.socket = str(scratch / "agent.socket")
        self.audit = scratch / "state" / "audit.jsonl"
        self.audit_read = 0
        (scratch / "state").mkdir(mode=0o700)
        (scratch / "policy.toml").write_text(policy)
        (scratch / "policy.toml").chmod(0o600)
        self.ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ready.bind(str(scratch / "ready"))
        self.ready.settimeout(PATIENCE)
        self.messages = open(scratch / "messages", "w+b")
        self.process = subprocess.Popen(
            [str(build / "broker/sallyportd"), "-m", "unix-listen", "-p", self.socket,
             "--policy", str(scratch / "policy.toml"), "-t", str(scratch / "state")],
            stdin=subprocess.DEVNULL, stdout=self.messages, stderr=self.messages,
            env=os.environ | {"NOTIFY_SOCKET": str(scratch / "ready")})

    def wait_until_ready(self):
        """What a service manager is told when the agent has confined itself and proved it."""
        told = []
        deadline = time.monotonic() + PATIENCE
        while "READY=1" not in told:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.messages.seek(0)
                raise RuntimeError("the agent did not start:\n" + self.messages.read().decode(errors="replace"))
            self.ready.settimeout(0.2)
            try:
                told += self.ready.recv(4096).decode(errors="replace").splitlines()
            except TimeoutError:
                pass
        return told

    def new_audit_lines(self):
        with open(self.audit, encoding="utf-8") as file:
            file.seek(self.audit_read)
            lines = file.readlines()
            self.audit_read = file.tell()
        return [json.loads(line) for line in lines]

    def processes(self):
        """(pid, name) of the agent's processes, parents first."""
        return [(pid, name_of(pid)) for pid in processes.below(self.process.pid)]

    def stop(self):
        """Ends the agent as a service manager would; its exit status, and the processes that are left."""
        pids = [pid for pid, _ in self.processes()] if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        deadline = time.monotonic() + 2
        while (left := [pid for pid in pids if pid in processes.table()]) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.ready.close()
        self.messages.close()
        return self.process.returncode, left


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace").rpartition("/")[2]


class Host:
    """Speaks to the agent as a hypervisor's management does."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.buffer = b""

    def send(self, raw):
        self.socket.sendall(raw)

    def line(self):
        while b"\n" not in self.buffer:
            got = self.socket.recv(65536)
            if not got:
                raise RuntimeError("the agent closed the connection")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def close(self):
        self.socket.close()


def held_by(pid):
    """What the kernel shows of a process; None stands for what it hides from this user."""
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                  if ":\t" in line)
    return {
        "uid": status["Uid"].split()[0],
        "capabilities": {name: int(status[name], 16) for name in CAPABILITY_SETS},
        "no_new_privileges": status["NoNewPrivs"].strip() == "1",
        "seccomp": (status["Seccomp"].strip(), status.get("Seccomp_filters", "?").strip()),
        "own_namespaces": hidden_as_none(lambda: [n for n in NAMESPACES if namespace(pid, n) != namespace("self", n)]),
        "root": hidden_as_none(lambda: (same_root(pid), sorted(os.listdir(f"/proc/{pid}/root")))),
        "descriptors": hidden_as_none(lambda: sorted(os.readlink(f"/proc/{pid}/fd/{fd}")
                                                     for fd in os.listdir(f"/proc/{pid}/fd"))),
    }


def namespace(pid, name):
    return os.readlink(f"/proc/{pid}/ns/{name}")


def same_root(pid):
    theirs, ours = os.stat(f"/proc/{pid}/root"), os.stat("/")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def hidden_as_none(look):
    try:
        return look()
    except PermissionError:
        return None


def capability_names(bits):
    return [CAPABILITIES.get(n, f"number {n}") for n in range(64) if bits >> n & 1]
