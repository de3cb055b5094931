"""Each process of the agent is killed while the guest's root is frozen: it is thawed at once."""
import time

NEEDS = "guest-fsfreeze-freeze"
GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "snapshots"
commands = ["@freeze"]
freeze = { max_frozen = "60s" }
"""
VICTIMS = ("sallyport-broker", "sallyport-nursery", "sallyport-guard")
MOST_SECONDS = 15  # without acceleration; to the thaw a second, the rest is the start of the next agent


def play(guest):
    guest.shell.get("cp /usr/bin/pkill /run/pkill")
    for victim in VICTIMS:
        before = guest.main_process()
        assert guest.host.get("guest-fsfreeze-freeze") >= 1
        # Of the guard the parent: with a name the two that watch it are killed, too, if they do not thaw in time.
        guest.shell.run(f"/run/pkill -KILL -o -f '^([^ ]*/)?{victim}'")
        started = time.monotonic()
        guest.shell.get("echo written > /root/by-writer", MOST_SECONDS)
        guest.note(f"{victim}: writable after {time.monotonic() - started:.1f} s")
        guest.wait_for_next_agent(before)
        guest.host.sync()
        assert guest.host.get("guest-fsfreeze-status") == "thawed"
