"""On a kernel without Landlock the agent that the packages install says so and does not serve; Debian's own comes back."""

GUEST = "debian"
MEMORY = 1024
POLICY = ""  # the one of the package
APT = "DEBIAN_FRONTEND=noninteractive apt-get -y -q -o APT::Sandbox::User=root"
SAYS = "landlock: the kernel does not offer it"


def play(guest):
    shell, host = guest.shell, guest.host
    guest.note(shell.get("uname -r"))
    assert shell.run("grep -w landlock /sys/kernel/security/lsm")[1] != 0
    assert "guest-exec" in {c["name"] for c in host.get("guest-info")["supported_commands"]}
    shell.get(f"{APT} install /packages/0/sallyport_*.deb /packages/0/sallyport-policy_*.deb")
    # However often it is started.
    shell.get(f"until [ $(journalctl -q -o cat -u sallyport | grep -c '{SAYS}') -ge 2 ]; do sleep 0.5; done")
    assert shell.get("journalctl -q -o cat -u sallyport | grep -c READY || true") == "0"
    host.send("guest-ping")
    assert host.is_silent(5)
    shell.get("systemctl stop sallyport; ! pgrep sallyport && [ ! -s /var/lib/sallyport/audit.jsonl ]")
    assert "no Landlock: the agent does not serve here" in shell.get("sallyport-policy privileges")
    shell.get(f"{APT} install /packages/qemu/qemu-guest-agent*.deb && systemctl start qemu-guest-agent")
    host.sync()
    assert "guest-exec" in {c["name"] for c in host.get("guest-info")["supported_commands"]}
