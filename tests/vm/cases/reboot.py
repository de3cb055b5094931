"""guest-shutdown with mode reboot starts the guest anew."""
GUEST = {"kernel": "initramfs", "systemd": "debian"}  # who carries it out
POLICY = """schema = 1
[[allow]]
id = "power"
commands = ["guest-shutdown"]
modes = ["reboot"]
"""


def play(guest):
    before = guest.boot_id()
    guest.host.send("guest-shutdown", mode="reboot")
    event = guest.qmp.wait_for("RESET", 180)
    assert event["data"]["guest"] and event["data"]["reason"] == "guest-reset", event
    guest.host.sync(300)
    after = guest.boot_id()
    assert before != after, "the same boot"
    guest.note(f"QMP: RESET {event['data']['reason']}; boot {before[:8]}, then {after[:8]}")
