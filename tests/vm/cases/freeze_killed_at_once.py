"""While the guest's root is frozen whoever could thaw it is killed at once: the unit thaws it, and needs nothing of that disk."""
import time

NEEDS = "guest-fsfreeze-freeze"
GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = { max_frozen = "10m" }
"""
MOST_SECONDS = 30  # without acceleration
GROUP = "/sys/fs/cgroup/system.slice/sallyport.service"
# Nobody acts between the death of one and that of another.
GUARD = "/run/pkill -STOP -f '^([^ ]*/)?sallyport-guard'; /run/pkill -KILL -f '^([^ ]*/)?sallyport-guard'"
ALL = f"echo 1 > {GROUP}/cgroup.freeze; echo 1 > {GROUP}/cgroup.kill; echo 0 > {GROUP}/cgroup.freeze"


def play(guest):
    host, shell = guest.host, guest.shell
    shell.get("cp /usr/bin/pkill /run/pkill")
    for name, kill in (("the guard's three", GUARD), ("all", ALL)):
        before = guest.main_process()
        assert host.get("guest-fsfreeze-freeze") >= 1
        shell.run(kill)
        started = time.monotonic()
        shell.get("echo written > /root/by-writer", MOST_SECONDS)
        guest.note(f"{name}: writable after {time.monotonic() - started:.1f} s")
        guest.wait_for_next_agent(before)
        host.sync()
        assert host.get("guest-fsfreeze-status") == "thawed"
