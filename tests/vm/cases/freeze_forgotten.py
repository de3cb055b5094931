"""The host freezes the guest's root and goes away: at the policy's deadline the guest thaws itself and works."""
NEEDS = "guest-fsfreeze-freeze"
GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = { max_frozen = "5s" }
"""


def play(guest):
    assert guest.host.get("guest-fsfreeze-freeze") >= 1
    guest.host.close()
    guest.shell.get("( echo written > /root/by-writer; echo done > /run/writer-done ) > /dev/null 2>&1 &")
    guest.shell.get(
        "i=0; until [ -e /run/writer-done ]; do sleep 1; i=$((i+1)); [ $i -lt 30 ]; done", 90)
    guest.host.connect()
    guest.host.sync()
    assert guest.host.get("guest-fsfreeze-status") == "thawed"
    guest.note("thawed by itself, 5 s after a freeze without a host")
