"""guest-shutdown with mode halt stops the guest and leaves it powered."""
GUEST = {"kernel": "initramfs", "systemd": "debian"}  # who carries it out
POLICY = """schema = 1
[[allow]]
id = "power"
commands = ["guest-shutdown"]
modes = ["halt"]
"""


def play(guest):
    guest.host.send("guest-shutdown", mode="halt")
    guest.wait_for_console("reboot: System halted", 180)
    assert guest.qmp.ask("query-status")["status"] == "running"
    assert not guest.qmp.has_seen("SHUTDOWN") and not guest.qmp.has_seen("RESET")
    guest.note("console: System halted; QMP: running, no event")
