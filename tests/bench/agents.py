"""Starts the agents that are compared and looks at their processes."""
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import processes  # noqa: E402: found through the line above

POLICY = """schema = 1

[[allow]]
id = "bench"
commands = ["@file"]
files = [{{ under = "{files}", access = ["read", "write", "create"], owner = [{uid}] }}]
"""
LOOKING = """
[[allow]]
id = "look"
commands = ["@inspect"]
"""
STARTING = """
[[allow]]
id = "start"
commands = ["@exec"]
[[allow.exec]]
program = "/bin/true"
args = []
run_as = "root"
"""
START_DEADLINE = 20


def control_group_root():
    """Where this process's group of the cgroup file system is; None if there is none that can be used."""
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(where, os.W_OK):
            own = next(own for own in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if own.startswith("0::"))
            return pathlib.Path(where) / own[3:].lstrip("/")
    return None


class Agent:
    """A running agent; `with` ends it."""

    def __init__(self, name, command, socket_path):
        self.name = name
        self.socket = socket_path
        self.log = open(os.path.join(os.path.dirname(socket_path), "log"), "wb")
        # A group of its own counts the time of all its processes, also of those that have ended.
        root = control_group_root() if os.geteuid() == 0 else None
        self.group = root and root / f"sallyport-bench-{os.getpid()}-{name}-{time.monotonic_ns()}"
        if self.group:
            self.group.mkdir()
        started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        preexec_fn=self.enter_group)
        self.start_seconds = self.await_answer(started)

    def enter_group(self):
        if self.group:
            (self.group / "cgroup.procs").write_text("0")

    def await_answer(self, started):
        """The seconds from the start of the program to its first answer."""
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > started + START_DEADLINE:
                self.__exit__()
                text = pathlib.Path(self.log.name).read_text(errors="replace")
                raise SystemExit(f"bench: {self.name} does not start\n{text}")
            time.sleep(0.0005)
        return time.monotonic() - started

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        if self.group:
            self.leave_group()

    def leave_group(self):
        """Its last processes may end a little after it."""
        deadline = time.monotonic() + START_DEADLINE
        while (self.group / "cgroup.procs").read_text():
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {self.name} left processes behind")
            time.sleep(0.01)
        self.group.rmdir()

    def cpu_seconds(self):
        """Processor time of all its processes since its start; None if nobody counts it."""
        if not self.group:
            return None
        used = dict(line.split() for line in (self.group / "cpu.stat").read_text().splitlines())
        return int(used["usage_usec"]) / 1e6

    def answers(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(self.socket)
                client.sendall(b'{"execute":"guest-ping"}\n')
                return client.recv(100).startswith(b'{"return"')
            except OSError:
                return False

    def pids(self):
        return processes.below(self.process.pid)

    def total(self, file, field):
        """The sum of one number of /proc/PID/FILE over all processes; None where the kernel does not show it."""
        amount = 0
        for pid in self.pids():
            try:
                lines = pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines()
            except FileNotFoundError:
                continue  # it ended
            except (PermissionError, ProcessLookupError):
                return None
            amount += sum(int(line.split()[1]) for line in lines if line.startswith(field))
        return amount


class MemoryWatch(threading.Thread):
    """The highest sum of proportional set sizes, in KiB, that sampling sees while the watch runs."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent = agent
        self.peak = 0
        self.done = threading.Event()

    def run(self):
        pids = self.agent.pids()
        while not self.done.is_set():
            now = 0
            for pid in pids:
                try:
                    with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
                        now += next(int(line.split()[1]) for line in rollup if line.startswith(b"Pss:"))
                except (OSError, StopIteration):
                    pass
            self.peak = max(self.peak, now)

    def stop(self):
        self.done.set()
        self.join()
        return self.peak


def qemu_ga(scratch):
    folder = fresh(scratch, "qemu-ga")
    path = os.path.join(folder, "socket")
    return Agent("qemu-ga", ["/usr/sbin/qemu-ga", "-m", "unix-listen", "-p", path, "-t", folder], path)


def sallyport(scratch, build, more):
    """Sallyport; `more` is LOOKING, with an inspector, STARTING, with a launcher, or neither."""
    folder = fresh(scratch, "sallyport")
    path, policy = os.path.join(folder, "socket"), os.path.join(folder, "policy.toml")
    text = POLICY.format(files=os.path.join(scratch, "files"), uid=os.getuid())
    pathlib.Path(policy).write_text(text + more)
    command = [os.path.join(build, "broker/sallyportd"), "-m", "unix-listen", "-p", path, "--policy", policy, "-t", folder]
    return Agent("sallyport", command, path)


def fresh(scratch, name):
    number = 1
    while True:
        folder = os.path.join(scratch, f"{name}-{number}")
        try:
            os.mkdir(folder, 0o700)
            return folder
        except FileExistsError:
            number += 1
