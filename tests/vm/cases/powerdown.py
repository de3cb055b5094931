"""guest-shutdown powers the guest down."""
GUEST = {"kernel": "initramfs", "systemd": "debian"}  # who carries it out
POLICY = """schema = 1
[[allow]]
id = "power"
commands = ["guest-shutdown"]
modes = ["powerdown"]
"""


def play(guest):
    guest.host.send("guest-shutdown")
    event = guest.qmp.wait_for("SHUTDOWN", 180)
    assert event["data"]["guest"] and event["data"]["reason"] == "guest-shutdown", event
    assert guest.wait_until_off() == 0
    assert guest.host.is_silent(0) or not guest.host.socket.recv(1), "success has no reply"
    # systemd stops its services first.
    assert ("Reached target" if guest.is_debian else "reboot: Power down") in guest.console()
    guest.note(f"QMP: SHUTDOWN {event['data']['reason']}")
