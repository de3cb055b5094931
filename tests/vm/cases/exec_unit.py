"""Under the unit a rule of ten lines lets a program run with its words, user and bounds, and refuses every neighbour of the request."""
import base64
import time

GUEST = "debian"
NEEDS = "guest-exec"
UNDER_SELINUX = "setsebool allow_execmem=1"  # Debian's switch for what runs unconfined
GROUP = "/sys/fs/cgroup/system.slice/sallyport.service"
POLICY = """schema = 1

[[allow]]
id = "probe"
commands = ["guest-exec"]
[[allow.exec]]
program = "/usr/local/bin/probe"
args = ["--unit", { one_of = ["db", "web"] }, { int = [1, 10] }, { under = "/srv/export" }, { name = 8 }]
run_as = "nobody"
env = { LANG = "C.UTF-8" }
input = "4B"
output = "1MiB"
max_runtime = "60s"
concurrent = 1
confine = { network = false, no_new_privileges = true, write = ["/var/lib/probe"], memory = "64MiB", tasks = 8 }
"""
# Programs of root, as the policy names them; what a rule does not say it takes from nobody.
OTHERS = {
    "flood": ("head -c 209715200 /dev/zero; head -c 300 /dev/zero >&2", 'output = "100KiB"\nmax_runtime = "120s"\n'),
    "stays": ("setsid sleep 1000 & echo here", 'max_runtime = "3s"\n'),
    "deaf": ("trap '' TERM HUP INT; while :; do sleep 1000; done", 'max_runtime = "3s"\n'),
    "hog": ("exec perl -e '$x = \"a\" x 200_000_000'", 'max_runtime = "60s"\nconfine = { memory = "48MiB" }\n'),
    "bomb": ("exec perl -e 'while (1) { fork }'", 'max_runtime = "2s"\nconfine = { tasks = 12 }\n'),
    # mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    "maps": ("exec perl -e 'exit(syscall(9, 0, 4096, 7, 0x22, -1, 0) == -1 ? 1 : 0)'", ""),
    "connects": ("exec socat -u TCP:127.0.0.1:7777 -", ""),
}
for name, (text, more) in OTHERS.items():
    POLICY += (f'\n[[allow]]\nid = "{name}"\ncommands = ["guest-exec"]\n[[allow.exec]]\nprogram = "/bin/sh"\n'
               f'args = ["-c", \'\'\'{text}\'\'\']\nrun_as = "root"\n{more}')
PREPARE = """cat > "$1/usr/local/bin/probe" <<'END'
#!/bin/sh
echo "$(id -un) $(id -Gn)"
printf '<%s>' "$@"; echo
env | grep -v -e ^PWD= | sort
grep -E '^(NoNewPrivs|CapEff)' /proc/self/status
cd "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)" && cat memory.max pids.max
grep -c : /proc/net/dev
touch /tmp/not 2> /dev/null || echo refused
touch /var/lib/probe/made && echo made
cat
END
chmod 755 "$1/usr/local/bin/probe"
mkdir -p "$1/srv/export" "$1/var/lib/probe"
chmod 777 "$1/var/lib/probe"
"""
WORDS = ["--unit", "web", "10", "/srv/export/a", "x.1"]
SEEN = """nobody nogroup
<--unit><web><10></srv/export/a><x.1>
LANG=C.UTF-8
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CapEff:\t0000000000000000
NoNewPrivs:\t1
67108864
8
1
refused
made
1234"""


def ask(guest, path, words, **more):
    return guest.host.ask("guest-exec", path=path, arg=words, capture_output=True, **more)


def end_of(guest, reply, patience=120):
    pid = reply["return"]["pid"]
    deadline = time.monotonic() + patience
    while not (ended := guest.host.get("guest-exec-status", pid=pid))["exited"]:
        assert time.monotonic() < deadline, f"{pid} does not end"
        time.sleep(0.1)
    return ended


def output(ended, stream="out-data"):
    return base64.b64decode(ended.get(stream, ""))


def run(guest, name):
    return end_of(guest, ask(guest, "/bin/sh", ["-c", OTHERS[name][0]]))


def play_allowed_and_neighbours(guest):
    four = {"input_data": base64.b64encode(b"1234").decode()}
    ended = end_of(guest, ask(guest, "/usr/local/bin/probe", WORDS, **four))
    assert output(ended).decode() == SEEN and ended["exitcode"] == 0, output(ended).decode()
    guest.shell.get("rm /var/lib/probe/made")
    neighbours = [WORDS + ["more"], WORDS[:-1], [WORDS[1], WORDS[0], *WORDS[2:]], ["--unit web", *WORDS[2:]], []]
    for place, others in {0: ["--Unit", ""], 1: ["mail", "-web", "web\n"], 2: ["0", "11", "010", "+1", "-1", "1\n"],
                          3: ["/srv/export", "/srv/exports", "/srv/export/../x", "/srv/export//a", "a"],
                          4: ["", "123456789", "-x", "a/b", ".."]}.items():
        neighbours += [[*WORDS[:place], other, *WORDS[place + 1:]] for other in others]
    for words in neighbours:
        assert "Operation not permitted" in ask(guest, "/usr/local/bin/probe", words)["error"]["desc"], words
    for path in ("probe", "/usr/local/bin/../bin/probe", "/bin/probe", "/usr/bin/id"):
        assert "Operation not permitted" in ask(guest, path, WORDS)["error"]["desc"], path
    for more in ({"input_data": base64.b64encode(b"12345").decode()}, {"env": ["LANG=C"]}):
        assert "Operation not permitted" in ask(guest, "/usr/local/bin/probe", WORDS, **more)["error"]["desc"], more
    # There is no such JSON string, as with qemu-ga.
    assert "error" in ask(guest, "/usr/local/bin/probe", [WORDS[0], "web\0", *WORDS[2:]])
    _, status = guest.shell.run("test -e /var/lib/probe/made")
    assert status == 1, "a neighbour was started"
    guest.note(f"{len(neighbours) + 7} neighbours refused")


def play_costs(guest):
    before = int(guest.shell.get(f"cat {GROUP}/agent/memory.current"))
    ended = run(guest, "flood")
    cost = int(guest.shell.get(f"cat {GROUP}/agent/memory.peak")) - before
    assert len(output(ended)) == 100 << 10 and ended["out-truncated"] and len(output(ended, "err-data")) == 300, ended.keys()
    assert cost < 6 << 20, f"200 MB of output cost {cost} bytes"
    ended = run(guest, "stays")
    assert ended["exitcode"] == 0 and output(ended) == b"here\n", ended
    assert run(guest, "deaf")["signal"] == 9
    assert run(guest, "hog")["signal"] == 9
    assert run(guest, "bomb")["signal"] == 9
    left, _ = guest.shell.run("pgrep -x 'sleep|perl|head'")
    assert left == "", left
    # One waits for the next program; the others have been removed, a moment later.
    deadline = time.monotonic() + 20
    while (groups := guest.shell.get(f"ls -d {GROUP}/programs/*/").split()) and len(groups) > 1:
        assert time.monotonic() < deadline, groups
    guest.note(f"200 MB of output: {cost >> 10} KiB")


def play_unconfined(guest):
    assert run(guest, "maps")["exitcode"] == 0
    guest.shell.get("(echo over TCP | socat -u - TCP-LISTEN:7777,bind=127.0.0.1) > /dev/null 2>&1 & "
                    "until grep -q :1E61 /proc/net/tcp; do :; done")
    ended = run(guest, "connects")
    assert output(ended) == b"over TCP\n", ended


def play(guest):
    play_allowed_and_neighbours(guest)
    play_costs(guest)
    play_unconfined(guest)
    # The unit's own group is free again for the next agent, though it had given its controllers away.
    guest.shell.get("pkill -KILL -f '^([^ ]*/)?sallyport-broker'")
    guest.host.sync()
    assert run(guest, "bomb")["signal"] == 9
    assert "programs-without-control-group" not in guest.audit()
