"""Where the guest cannot do what is asked, the host is told so, in qemu-ga's words, and nothing else happens."""
GUEST = "initramfs"
POLICY = """schema = 1
[[allow]]
id = "sleep"
commands = ["guest-suspend-disk", "guest-suspend-hybrid"]
"""
UNSUPPORTED = "the requested suspend mode is not supported by the guest"


def play(guest):
    assert guest.host.error_of("guest-suspend-hybrid")["desc"] == UNSUPPORTED
    # No place to save it to: the kernel offers it and then refuses.
    error = guest.host.error_of("guest-suspend-disk")["desc"]
    assert error == UNSUPPORTED or error.startswith("suspend: cannot write to '/sys/power/state': "), error
    assert guest.host.get("guest-ping") == {}
    guest.note(error)
