"""Whichever process of the agent is killed, and all at once: the host finds the agent again, and its log whole."""
import json
import time

GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "power"
commands = ["guest-shutdown"]
modes = ["powerdown"]
"""
VICTIMS = ("sallyport-worker", "sallyport-nursery", "sallyport-launcher", "sallyport-broker", "sallyport")
# The nursery is the init of its process namespace.
NOT_TAKEN = {("TERM", "sallyport-nursery"), ("SEGV", "sallyport-nursery"), ("TERM", "sallyport-launcher")}


def play(guest):
    for signal in ("KILL", "SEGV", "TERM"):
        for victim in VICTIMS:
            if (signal, victim) in NOT_TAKEN:
                continue
            started = time.monotonic()
            before = guest.main_process()
            guest.shell.run(f"pkill -{signal} -f '^([^ ]*/)?{victim}'")
            # A worker is replaced; any other is the end of the agent.
            if victim != "sallyport-worker":
                guest.wait_for_next_agent(before)
            guest.host.sync()
            assert guest.host.get("guest-ping") == {}
            guest.note(f"{victim} {signal}: {time.monotonic() - started:.1f} s")
    state = guest.shell.get("systemctl is-active sallyport")
    assert state == "active", state
    records = [json.loads(line) for line in guest.audit().splitlines()]
    assert sum(record["what"] == "start" for record in records) >= 5
