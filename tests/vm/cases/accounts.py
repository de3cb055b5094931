"""Passwords and keys under the shipped unit, with Debian's chpasswd, PAM and the kernel's audit; the next user is nobody's business."""
import base64

GUEST = "debian"
NEEDS = "guest-set-user-password"
POLICY = """schema = 1
[[allow]]
id = "users"
commands = ["@accounts"]
users = "any"
crypted = "any"
key_types = ["ssh-ed25519"]
reset = true
[[allow]]
id = "root"
commands = ["guest-set-user-password"]
users = ["root"]
crypted = "only"
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd"


def password(text):
    return base64.b64encode(text.encode()).decode()


def play(guest):
    host, shell = guest.host, guest.shell
    shell.get("useradd -m -s /bin/sh alice")
    before = shell.get("stat -c '%U %G %a' /etc/shadow")
    assert host.get("guest-set-user-password", username="alice", password=password("a new one"), crypted=False) == {}
    hashed = shell.get("getent shadow alice").split(":")[1]
    assert hashed.startswith("$y$"), hashed
    assert host.get("guest-set-user-password", username="root", password=password("$6$ab$hash"), crypted=True) == {}
    assert shell.get("getent shadow root").split(":")[1] == "$6$ab$hash"
    assert shell.get("stat -c '%U %G %a' /etc/shadow") == before
    for user in ("root", "nosuchuser"):
        error = host.error_of("guest-set-user-password", username=user, password=password("plain"), crypted=False)
        assert error["class"] == "GenericError", error
    assert host.get("guest-ssh-add-authorized-keys", username="alice", keys=[KEY]) == {}
    assert host.get("guest-ssh-get-authorized-keys", username="alice") == {"keys": [KEY]}
    assert shell.get("stat -c '%U %a' /home/alice/.ssh /home/alice/.ssh/authorized_keys").split() == ["alice", "700", "alice", "600"]
    assert host.get("guest-ssh-add-authorized-keys", username="alice", keys=[], reset=True) == {}
    assert host.get("guest-ssh-get-authorized-keys", username="alice") == {"keys": []}
    audit = guest.audit()
    assert "a new one" not in audit and password("a new one") not in audit and "account-ended" in audit
    guest.note("chpasswd under the unit's capabilities, keys by the user")
