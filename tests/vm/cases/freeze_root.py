"""The guest's own root is frozen with everything else, a writer waits, the thaw gives the same count, the writer goes on."""
import time

NEEDS = "guest-fsfreeze-freeze"
GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = { max_frozen = "60s" }
"""
# From memory: nothing of a frozen disk may be needed to look at it.
PREPARE_SHELL = "mkdir -p /run/tools; cp /usr/bin/cat /usr/bin/ls /run/tools/; cp /usr/bin/dash /run/tools/sh"
WRITER = "( echo written > /root/by-writer; echo done > /run/writer-done ) > /dev/null 2>&1 &"


def play(guest):
    host, shell = guest.host, guest.shell
    shell.get(PREPARE_SHELL)
    assert host.get("guest-fsfreeze-status") == "thawed"
    started = time.monotonic()
    count = host.get("guest-fsfreeze-freeze")
    took = time.monotonic() - started
    assert count >= 1
    assert host.get("guest-fsfreeze-status") == "frozen"
    error = host.error_of("guest-file-open", path="/etc/hostname")
    assert error["class"] == "CommandNotFound", error
    shell.get(WRITER)
    # The port and the agent go on being closed and opened, with the disk as it is.
    host.close()
    host.connect()
    host.sync()
    assert host.get("guest-fsfreeze-status") == "frozen"
    assert shell.run("[ -e /run/writer-done ]")[1] != 0, "a file was written to the frozen root"
    assert host.get("guest-fsfreeze-thaw") == count
    assert host.get("guest-fsfreeze-status") == "thawed"
    shell.get("i=0; until [ -e /run/writer-done ]; do sleep 1; i=$((i+1)); [ $i -lt 30 ]; done", 60)
    assert shell.get("cat /root/by-writer") == "written"
    guest.note(f"{count} file systems in {took:.1f} s; the writer waited and went on")
