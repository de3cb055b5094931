"""systemd starts the agent for the port, ready means served, and its unit is judged tight."""
import re

GUEST = "debian"
POLICY = "schema = 1\n"
# What is left is justified in the unit, a line for each directive.
MOST_EXPOSURE = 3.0


def check_service(guest):
    """systemd takes it for serving; the worker is nobody of importance. Its user."""
    shell = guest.shell
    show = dict(line.split("=", 1) for line in shell.get(
        "systemctl show sallyport -p ActiveState,Type,NRestarts,MainPID,StatusText,ControlGroup").splitlines())
    assert show["ActiveState"] == "active" and show["NRestarts"] == "0" and show["StatusText"] == "serving", show
    worker = shell.get("pgrep -f sallyport-worker || pidof sallyport-worker").split()[0]
    status = shell.get(f"cat /proc/{worker}/status")
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status
    user = shell.get("id -u sallyport")
    assert f"Uid:\t{user}\t{user}" in status, status
    return user


def play(guest):
    user = check_service(guest)
    report = guest.shell.get("systemd-analyze security --no-pager sallyport.service")
    exposure = float(re.search(r"Overall exposure level for \S+: (\S+)", report)[1])
    assert exposure <= MOST_EXPOSURE, report
    guest.note(f"systemd-analyze security: {exposure}; the worker is user {user}, without capabilities")
