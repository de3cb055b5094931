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
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfgh"
KEYS = "/home/bob/.ssh/authorized_keys"
# A file system for a user who has his quota. Debian's tools for it are not in the guest; perl asks the kernel: Q_SETQUOTA for users, and the hard
# limit in KiB of struct if_dqblk. Copies of mke2fs and losetup have no domains of their own, which could not read a file in /srv.
HOME_WITH_QUOTA = ("useradd -s /bin/sh bob && mkdir /home/bob && truncate -s 32M /srv/homes"
                   " && for each in mke2fs losetup; do cp /usr/sbin/$each /usr/local/bin/own-$each; done"
                   " && own-mke2fs -q -t ext4 -O quota -E quotatype=usrquota /srv/homes && disk=$(own-losetup -f --show /srv/homes)"
                   " && mount -o usrquota $disk /home/bob && chown bob /home/bob && { ! type restorecon || restorecon -R /home/bob; }")
SET_LIMIT = ("perl -e 'my ($limit, $device, $user) = @ARGV; my $block = pack(\"Q8LL\", $limit, (0) x 7, 1, 0);"
             " syscall(179, 0x800008 << 8, $device, $user + 0, $block) == 0 or die \"quotactl: $!\"'")


def password(text):
    return base64.b64encode(text.encode()).decode()


def limit(shell, kib):
    shell.get(f"{SET_LIMIT} {kib} $(findmnt -n -o SOURCE /home/bob) $(id -u bob)")


def add_beyond_a_quota(host, shell):
    """Whose quota is used up keeps the keys that he has, and nothing of the new file is left."""
    shell.get(HOME_WITH_QUOTA)
    assert host.get("guest-ssh-add-authorized-keys", username="bob", keys=[KEY]) == {}
    limit(shell, 1)
    error = host.error_of("guest-ssh-add-authorized-keys", username="bob", keys=[OTHER_KEY])
    assert error["class"] == "GenericError" and "quota" in error["desc"], error
    assert shell.get(f"cat {KEYS}") == KEY
    assert shell.get("ls -A /home/bob/.ssh").split() == ["authorized_keys"]
    limit(shell, 0)
    assert host.get("guest-ssh-add-authorized-keys", username="bob", keys=[OTHER_KEY]) == {}
    keys = host.get("guest-ssh-get-authorized-keys", username="bob")["keys"]
    assert keys == [OTHER_KEY, KEY], keys
    return error["desc"]


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
    beyond = add_beyond_a_quota(host, shell)
    audit = guest.audit()
    assert "a new one" not in audit and password("a new one") not in audit and "account-ended" in audit
    guest.note(f"chpasswd under the unit's capabilities, keys by the user; {beyond}")
