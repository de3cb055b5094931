"""A guest for tests that let an agent act: mounts of the process's own with users, homes, programs, processors and memory blocks that are the test's.

Whatever is started from there can set no clock: the right to do so is taken away for good before anything else.
"""
import os
import pathlib
import shutil
import subprocess
import sys

MARK = "SALLYPORT_OWN_GUEST"
HOMES = pathlib.Path("/home")
PROGRAMS = pathlib.Path("/srv/bin")
PROCESSORS = pathlib.Path("/sys/devices/system/cpu")
BLOCKS = pathlib.Path("/sys/devices/system/memory")
USERS = {"alice": 1500, "bob": 1501, "toor": 0}  # besides root; who is toor is root by another name
PREPARE = """
mount --make-rprivate /
for each in /home /srv /root; do mount -t tmpfs -o mode=0755 none $each; done
mkdir /srv/bin /srv/own; cp /bin/true /srv/bin/one; cp /bin/true /srv/bin/two
for file in passwd group shadow; do cp -a /etc/$file /srv/own/; done
sed -i 's,^\\(root:[^:]*:0:0:[^:]*\\):[^:]*:,\\1:/home/root:,' /srv/own/passwd
for user in alice:1500 bob:1501 toor:0; do
    echo "${user%:*}:x:${user#*:}:${user#*:}::/home/${user%:*}:/bin/sh" >> /srv/own/passwd
    echo "${user%:*}:*:19000:0:99999:7:::" >> /srv/own/shadow
done
for file in passwd group shadow; do mount --bind /srv/own/$file /etc/$file; done
# It reads what it is given, and changes no password.
mount --bind /bin/cat /usr/sbin/chpasswd
mkdir /srv/own/dev; mount -t tmpfs -o mode=0755 none /srv/own/dev
for name in null zero full random urandom; do cp -a /dev/$name /srv/own/dev/; done
for name in fd fd/0:stdin; do ln -s /proc/self/${name%:*} /srv/own/dev/${name#*:}; done; mount --move /srv/own/dev /dev
for each in /sys/devices/system/cpu /sys/devices/system/memory; do mount -t tmpfs -o mode=0755 none $each; done
mkdir /sys/devices/system/cpu/cpu0
"""


def enter():
    """Starts this program anew in such a guest; returns there, and nowhere else."""
    if MARK not in os.environ:
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--mount", "setpriv", "--bounding-set=-sys_time", sys.executable, *sys.argv])
    subprocess.run(["/bin/sh", "-euc", PREPARE], check=True)
    make_homes()
    make_devices()


def make_homes():
    """Empty home directories."""
    for name, number in {**USERS, "root": 0}.items():
        home = HOMES / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(mode=0o755)
        os.chown(home, number, number)


def make_devices():
    """Four processors, of which the first cannot be taken offline, and four blocks, all online."""
    for number in range(4):
        for directory, file, text in ((PROCESSORS / f"cpu{number}", "online", "1\n"), (BLOCKS / f"memory{number}", "state", "online\n")):
            directory.mkdir(exist_ok=True)
            if directory.name != "cpu0":
                (directory / file).write_text(text)
