"""The agent answers on a real virtio-serial port, and takes resynchronisation as libvirt does it."""
GUEST = "initramfs"
POLICY = "schema = 1\n"


def play(guest):
    host = guest.host
    assert host.get("guest-ping") == {}
    commands = {entry["name"]: entry for entry in host.get("guest-info")["supported_commands"]}
    assert commands["guest-ping"]["enabled"] and not commands["guest-shutdown"]["enabled"]
    assert commands["guest-shutdown"]["success-response"] is False
    host.socket.sendall(b'{"execute": "guest-pi\xff')
    host.sync()
    assert host.error_of("guest-shutdown")["class"] == "CommandNotFound"
    assert "sallyport-launcher" not in guest.shell.get("ps"), "a launcher without need"
    guest.note(f"{len(commands)} commands listed, no launcher runs")
