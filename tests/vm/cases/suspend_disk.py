"""guest-suspend-disk saves the guest on its disk; started again it goes on where it was."""
GUEST = {"kernel": "initramfs", "systemd": "debian"}  # who carries it out
SWAP = True
POLICY = """schema = 1
[[allow]]
id = "sleep"
commands = ["guest-suspend-disk"]
"""


def play(guest):
    boot = guest.boot_id()
    guest.shell.get("echo kept > /run/in-memory-only")
    guest.host.send("guest-suspend-disk")
    event = guest.qmp.wait_for("SHUTDOWN", 240)
    assert event["data"]["guest"], event
    guest.wait_until_off()
    guest.power_on()
    assert guest.boot_id() == boot, "a new boot"
    assert guest.shell.get("cat /run/in-memory-only") == "kept"
    guest.note(f"QMP: SHUTDOWN; boot {boot[:8]} before and after")
