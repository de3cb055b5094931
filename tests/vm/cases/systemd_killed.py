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


def play(guest):
    for signal in ("KILL", "SEGV", "TERM"):
        for victim in VICTIMS:
            if signal == "TERM" and victim in ("sallyport-nursery", "sallyport-launcher"):
                continue  # they do not take it
            started = time.monotonic()
            guest.shell.run(f"pkill -{signal} -f '^([^ ]*/)?{victim}'")
            guest.host.sync()
            assert guest.host.get("guest-ping") == {}
            guest.note(f"{victim} {signal}: {time.monotonic() - started:.1f} s")
    state = guest.shell.get("systemctl is-active sallyport")
    assert state == "active", state
    records = [json.loads(line) for line in guest.audit().splitlines()]
    assert sum(record["what"] == "start" for record in records) >= 5
