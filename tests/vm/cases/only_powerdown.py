"""A policy that allows only powerdown refuses the other modes in qemu-ga's manner, and nothing is started."""
GUEST = "debian"
POLICY = """schema = 1
[[allow]]
id = "power"
commands = ["guest-shutdown"]
modes = ["powerdown"]
"""


def play(guest):
    boot = guest.boot_id()
    for mode in ("reboot", "halt"):
        error = guest.host.error_of("guest-shutdown", mode=mode)
        assert error["class"] == "GenericError", error
        assert error["desc"].startswith("child process has failed to shutdown: Operation not permitted"), error
    error = guest.host.error_of("guest-shutdown", mode="sideways")
    assert error["desc"] == "mode is invalid (valid values are: halt|powerdown|reboot", error
    error = guest.host.error_of("guest-suspend-ram")
    assert error["class"] == "CommandNotFound", error
    assert guest.boot_id() == boot
    assert "launch-ended" not in guest.audit(), "a program was started"
    assert not guest.qmp.has_seen("SHUTDOWN") and not guest.qmp.has_seen("RESET")
    guest.note("reboot, halt, suspend refused; no program in the audit log")
