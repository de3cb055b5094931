#!/usr/bin/python3
"""docs/admin.md, word for word: each of its lines is typed in a guest of its own, beside a real agent, and prints what the page says.

usage: admin_page.py TOOL
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

import tap
from tap import TOOL
from walk import QEMU_GA, faults_of_output, files, typed

AGENT = TOOL.parents[3] / "broker/sallyportd"
MARK = "-- end of a line --"


def prepare(folder):
    """A machine's directories, as the package makes them, below `folder`; and what takes the place of a service manager."""
    for name in ("etc", "state", "qemu", "bin", "home"):
        (folder / name).mkdir(mode=0o700)
    (folder / "qemu/qemu-ga.conf").write_text(QEMU_GA)
    (folder / "bin/sallyport-policy").symlink_to(TOOL)
    (folder / "bin/sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (folder / "bin/systemctl").write_text(f"""#!/bin/bash
[[ $* == "restart sallyport.service" ]] || exit 1
cd {folder}
if [[ -e pid ]]; then kill "$(cat pid)" && tail --pid="$(cat pid)" -f /dev/null; fi
setsid {AGENT} -m unix-listen -p {folder}/s --policy /etc/sallyport/policy.toml -t /var/lib/sallyport </dev/null >>messages 2>&1 &
echo $! > pid
# As systemd, which waits until the agent says that it is ready.
digest=$({TOOL} digest /etc/sallyport/policy.toml)
for ((left = 200; left > 0; --left)); do {TOOL} status --serves "$digest" && exec {sys.executable} {folder}/bin/host; done
exit 1
""")
    # What the host of the page's machine does, each time that an agent has begun to serve.
    (folder / "bin/host").write_text(f"""import json, socket
with socket.socket(socket.AF_UNIX) as host:
    host.connect("{folder}/s")
    lines = host.makefile()
    def ask(command, **arguments):
        host.sendall((json.dumps({{"execute": command, "arguments": arguments}}) + "\\n").encode())
        return json.loads(lines.readline()).get("return")
    ask("guest-get-osinfo")
    ask("guest-get-diskstats")
    handle = ask("guest-file-open", path="/srv/export/report.csv")
    ask("guest-file-close", handle=handle)
""")
    for name in ("sudo", "systemctl"):
        (folder / "bin" / name).chmod(0o755)
    for name, text in files().items():
        (folder / "home" / name).write_text(text)


def script(folder):
    mounts = {"etc": "/etc/sallyport", "state": "/var/lib/sallyport", "qemu": "/etc/qemu"}
    yield "set -e; mount --make-rprivate /"
    # What is not there on this machine is there in this name space.
    for top in ("/etc", "/var/lib"):
        name = top.replace("/", "-")
        yield f"mkdir -p {folder}/up{name} {folder}/work{name}; mount -t overlay overlay -o lowerdir={top},upperdir={folder}/up{name},workdir={folder}/work{name} {top}"
    yield from (f"mkdir -p {target}; mount --bind {folder}/{name} {target}" for name, target in mounts.items())
    yield "mount -t tmpfs tmpfs /srv; mkdir -m 0755 /srv/export; touch /srv/export/report.csv"
    yield f"mount --bind {folder}/bin/systemctl /usr/bin/systemctl"
    yield f"cd {folder}/home; export PATH={folder}/bin:$PATH; set +e"
    for line, _ in typed():
        yield line
        yield f"echo '{MARK}'"


def end_agent(folder):
    if not (folder / "pid").exists():
        return
    pid = int((folder / "pid").read_text())
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + 20
    while pathlib.Path(f"/proc/{pid}/exe").exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def check_every_line_of_the_page_prints_what_the_page_says():
    with tap.scratch() as name:
        folder = pathlib.Path(name)
        # An overlay cannot lie on every file system; a tmpfs takes it.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder], check=True)
        try:
            prepare(folder)
            said = subprocess.run(["unshare", "--mount", "bash", "-c", "\n".join(script(folder))], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=250)
            printed = said.stdout.split(MARK + "\n")
            lines = list(typed())
            if len(printed) != len(lines) + 1 or len(lines) < 15:
                yield f"{len(lines)} lines, {len(printed) - 1} ran: {said.stdout[-2000:]}"
                return
            for (line, expected), text in zip(lines, printed):
                yield from faults_of_output(line, expected, text)
        finally:
            end_agent(folder)
            subprocess.run(["umount", "-l", folder], check=True)


def check_the_page_writes_the_files_that_it_uses():
    if set(files()) != {"policy.toml", "cases.toml"}:
        yield f"{set(files())}"


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
