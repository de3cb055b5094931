"""guest-set-vcpus takes a real processor offline and brings it back; those that the rule keeps stay, and the boot processor where it must."""
GUEST = {"kernel": "initramfs", "systemd": "debian"}  # without and with the shipped unit
PROCESSORS = 3
POLICY = """schema = 1
[[allow]]
id = "processors"
commands = ["guest-set-vcpus", "guest-get-vcpus"]
vcpus = { min_online = 2, cpus = "0-2" }
"""
FIXED = "logical processor #0 can't be offlined"


def entry(number, online):
    return {"logical-id": number, "online": online}


def online(guest):
    return guest.shell.get("cat /sys/devices/system/cpu/online").strip()


def play(guest):
    host = guest.host
    assert online(guest) == "0-2", online(guest)
    assert host.get("guest-set-vcpus", vcpus=[entry(1, False)]) == 1
    assert online(guest) == "0,2", online(guest)
    shown = {one["logical-id"]: one["online"] for one in host.get("guest-get-vcpus")}
    assert shown == {0: True, 1: False, 2: True}, shown
    refused = host.error_of("guest-set-vcpus", vcpus=[entry(2, False)])["desc"]
    assert refused.startswith("failed to set processors: Operation not permitted (denial "), refused
    # 64-bit ARM has no boot processor that must stay.
    if guest.shell.run("[ -e /sys/devices/system/cpu/cpu0/online ]")[1] == 0:
        assert host.get("guest-set-vcpus", vcpus=[entry(1, True), entry(0, False)]) == 2
        assert online(guest) == "1-2", online(guest)
        assert host.get("guest-set-vcpus", vcpus=[entry(0, True)]) == 1
    else:
        assert host.error_of("guest-set-vcpus", vcpus=[entry(0, False)])["desc"] == FIXED
        assert host.get("guest-set-vcpus", vcpus=[entry(1, True), entry(0, False), entry(2, False)]) == 1, "partial success"
    assert online(guest) == "0-2", online(guest)
    missing = host.error_of("guest-set-vcpus", vcpus=[entry(3, False)])["desc"]
    assert missing.startswith("failed to set processors: Operation not permitted"), missing
    guest.note("offline and back; the second of two stays")
