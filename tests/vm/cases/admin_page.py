"""docs/admin.md, word for word, in a guest under the shipped unit: each of its lines prints what the page says, and its host is asked over the port."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "policy"))

from walk import QEMU_GA, faults_of_output, files, typed  # noqa: E402

GUEST = "debian"
MEMORY = 768
# The page says nothing of SELinux's switches; the other cases try what each policy needs there.
UNDER_SELINUX = None
POLICY = 'schema = 1\ninclude = ["profile:minimal"]\n'
FOLDER = "/root/walk"
PATIENCE = 300
# The machine of the page: a directory of reports, and a sudo.
MACHINE = (f"mkdir -p {FOLDER} /etc/qemu /srv/export; touch /srv/export/report.csv; "
           "printf '#!/bin/sh\\nexec \"$@\"\\n' > /usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo")


def lines_of_the_unit():
    """Those that docs/policy.md has for each policy that is to come into force, but for the restart, which the page types itself."""
    page = (pathlib.Path(__file__).resolve().parents[3] / "docs/policy.md").read_text()
    lines = re.search(r"^    (mkdir -p /etc/systemd.*?)\n    systemctl restart sallyport$", page, re.M | re.S)[1]
    return [line.strip() for line in lines.splitlines()]


def talk(host):
    """What the host of the page does each time that an agent has begun to serve."""
    host.sync()
    host.ask("guest-get-osinfo")
    host.ask("guest-get-diskstats")
    handle = host.ask("guest-file-open", path="/srv/export/report.csv").get("return")
    host.ask("guest-file-close", handle=handle if handle is not None else 0)


def play(guest):
    shell = guest.shell
    shell.get(MACHINE)
    guest.write("/etc/qemu/qemu-ga.conf", QEMU_GA)
    for name, text in files().items():
        guest.write(f"{FOLDER}/{name}", text)
    faults, count = [], 0
    for line, expected in typed():
        # The page says so, and where: a policy that needs more than the unit gives it does not come into force.
        if "systemctl restart" in line:
            for one in lines_of_the_unit():
                shell.get(one)
        printed, _ = shell.run(f"cd {FOLDER}; {line}", PATIENCE)
        faults += faults_of_output(line, expected, printed + "\n" if printed else "")
        if "systemctl restart" in line or "in force: …" in expected:
            talk(guest.host)
        count += 1
    assert not faults, "\n".join(faults)
    assert count > 15, count
    guest.note(f"{count} lines")
