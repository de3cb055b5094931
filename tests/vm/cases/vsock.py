"""The agent serves on vsock, to the machines that the policy names and to nobody else."""
import json

GUEST = "debian"
POLICY = """schema = 1
[peers]
cids = [1]
"""
# A second agent, beside the one on the port.
SECOND = "sallyportd -m vsock-listen -p 4294967295:5123 --policy {} -t /var/lib/sallyport/second"


def ask(guest):
    request = json.dumps({"execute": "guest-sync", "arguments": {"id": 7}})
    return guest.shell.run(f"printf '%s\\n' '{request}' | timeout 20 socat -t 10 - VSOCK-CONNECT:1:5123 2> /dev/null")[0]


def start(guest, policy):
    guest.shell.get("mkdir -p -m 700 /var/lib/sallyport/second; systemctl stop second 2>/dev/null; true")
    guest.shell.get(f"systemd-run --unit=second --service-type=notify {SECOND.format(policy)}", 90)


def play(guest):
    guest.shell.get("modprobe vsock_loopback")
    start(guest, "/etc/sallyport/policy.toml")
    answer = ask(guest)
    assert json.loads(answer) == {"return": 7}, answer
    guest.shell.get("printf 'schema = 1\\n' > /etc/sallyport/nobody.toml; systemctl stop second")
    start(guest, "/etc/sallyport/nobody.toml")
    assert ask(guest) == "", "a machine that the policy does not name was served"
    assert "connect-refused" in guest.shell.get("cat /var/lib/sallyport/second/audit.jsonl")
    guest.note("CID 1 is served where it is named, and refused where it is not")
