"""virsh suspends a guest to memory, to both and to disk, wakes it and reboots it, by the agent under the shipped unit."""
GUEST = "debian"
BY_LIBVIRT = True
POLICY = """schema = 1
[[allow]]
id = "power"
commands = ["@power"]
modes = ["reboot"]
"""


def play(guest):
    booted = guest.boot_id()
    for times, target in enumerate(("mem", "hybrid"), 1):
        guest.virsh("dompmsuspend", "guest", target)
        guest.wait_for_event("PMSuspended Memory", times=times)
        guest.virsh("dompmwakeup", "guest")
        guest.wait_for_agent()
        assert guest.boot_id() == booted, "it went on where it was"
    guest.virsh("reboot", "guest", "--mode", "agent")
    guest.wait_for_event("event 'reboot'")
    guest.wait_for_agent()
    assert guest.boot_id() != booted
    assert "Operation not permitted (denial " in guest.virsh_error("shutdown", "guest", "--mode", "agent")
    guest.virsh("dompmsuspend", "guest", "disk")
    guest.wait_for_event("PMSuspended Disk")
    guest.wait_for_event("Shutdown Finished after guest request")
    guest.note("mem, hybrid, reboot, disk")
