"""systemd starts the agent for the port, ready means served, and its unit is judged tight: what is left of exposure has its reason there."""
import json
import re

GUEST = "debian"
POLICY = "schema = 1\n"
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


def reasons(unit):
    """(directive, what of it or nothing) of each reason that the unit gives."""
    for words in re.findall(r"^# ((?:[A-Z]\w+=\S*|~\S+)(?: (?:[A-Z]\w+=\S*|~\S+))*)  +[A-Z]", unit, re.M):
        directive = ""
        for word in words.split():
            directive, part = word.split("=") if "=" in word else (directive, word)
            yield directive, part


def check_every_mark_has_its_reason(marks, unit):
    """A reason without a part is for all of a directive, which is then not set at all; but which devices there are is one mark."""
    given = set(reasons(unit))
    unset = {directive for directive, part in given if not part and (directive == "DeviceAllow" or not re.search(f"^{directive}=", unit, re.M))}
    used, unreasoned = set(), []
    for mark in marks:
        names = [tuple(name.split("=")) for name in mark.split("/")]
        found = {(directive, part) for directive, part in names if (directive, part) in given} | {
            (directive, "") for directive, _ in names if directive in unset}
        used |= found
        unreasoned += [] if found else [mark]
    assert not unreasoned, f"marked, without a reason in the unit: {unreasoned}"
    assert used == given, f"reasons for what is not marked: {sorted(given - used)}"


def play(guest):
    shell = guest.shell
    user = check_service(guest)
    report = shell.get("systemd-analyze security --no-pager sallyport.service")
    exposure = float(re.search(r"Overall exposure level for \S+: (\S+)", report)[1])
    assert exposure <= MOST_EXPOSURE, report
    marks = [one["name"] for one in json.loads(shell.get("systemd-analyze security --no-pager --json=short sallyport.service"))
             if float(one["exposure"] or 0) > 0]
    check_every_mark_has_its_reason(marks, shell.get("systemctl cat sallyport"))
    guest.note(f"systemd-analyze security: {exposure}, {len(marks)} marks, each with its reason; the worker is user {user}, without capabilities")
