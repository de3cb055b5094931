"""What must be so of the files that the agent keeps, reads and hands on: as rules.py, every function check_... yields its faults."""
import functools
import re
import subprocess

import tables
from rules import ANYBODY_OPENS, CHANGES, FILES

CONTEXTS = "/etc/selinux/default/contexts/files/file_contexts"
# Who may change which of the agent's own files. Who only appends to the log is the broker; where the log lies, only these write at all.
CHANGED_BY = {"sallyport_conf_t": set(), "sallyport_denied_t": {"files"}, "sallyport_log_t": {"starter", "recorder", "broker"},
              "sallyport_state_t": {"starter", "recorder", "broker", "guard", "files"}}


def label_by(contexts, path):
    """By the patterns of the module: the one that begins with the most letters that are no pattern."""
    fitting = [(len(re.match(r"(?:[\w/.-]|\\.)*", pattern)[0]), label) for pattern, label in contexts if re.fullmatch(pattern, path)]
    return max(fitting)[1] if fitting else None


def check_what_the_agent_keeps_has_types_of_its_own(policy):
    """The names are those of the sources. A port has no pattern of its own: udev gives it its type."""
    contexts = re.findall(r"^(/\S+)\s.*gen_context\(system_u:object_r:(\w+),s0\)", policy.texts["fc"], re.M)
    wanted = {"/etc/sallyport/policy.toml": "conf", "/etc/sallyport/policy.d/10-more.toml": "conf", "/etc/sallyport/freeze.d/hook": "hook_exec",
              "/var/lib/sallyport/audit.jsonl.1": "log"}
    for name in tables.kept_files():
        kind = "log" if name.startswith("audit.jsonl") else "denied" if name.startswith("sallyport.denied") else "state"
        wanted[f"/var/lib/sallyport/{name}"] = kind
    for path, kind in wanted.items():
        if (label := label_by(contexts, path)) != f"sallyport_{kind}_t":
            yield f"{path} is labelled {label}, not sallyport_{kind}_t"
    if 'SECLABEL{selinux}="system_u:object_r:sallyport_channel_t:s0"' not in tables.text("selinux/61-sallyport-selinux.rules"):
        yield "udev gives the port no type"


def check_what_the_agent_keeps_is_changed_by_who_keeps_it(policy):
    """Its policy and its programs by none of its processes; the log is never written anew."""
    ours = policy.domains() | policy.programs()
    programs = {target: set() for domain in ours for target in {one.target for one in policy.of(domain, {"entrypoint"}, {"file"})}}
    for target, keepers in (CHANGED_BY | programs).items():
        for domain in ours - {f"sallyport_{one}_t" for one in keepers}:
            yield from map(str, policy.of(domain, CHANGES, FILES, target))
    for domain in ours:
        yield from map(str, policy.of(domain, {"write"}, {"file"}, "sallyport_log_t"))


@functools.cache
def label_of_debian(path):
    done = subprocess.run(["matchpathcon", "-f", CONTEXTS, "-n", path], capture_output=True, text=True, check=True)
    return done.stdout.split(":")[2]


def labels_of_kernel(policy, path):
    """Of what lies below /proc or /sys: a type, or the few that its directories have."""
    system, _, inside = path.removeprefix("/").partition("/")
    rows = [(row.path, str(row.context).split(":")[2]) for row in policy.setools.genfscons() if row.fs == {"proc": "proc", "sys": "sysfs"}[system]]
    # A process's own network is that of /proc/net.
    place = re.sub(r"^/self/net", "/net", "/" + inside)
    above = max(row for row in rows if place.startswith(row[0]))[1]
    return {above} | {label for start, label in rows if start.startswith(place)}


def check_the_inspector_opens_what_its_tables_name(policy):
    """Nothing else, but what any domain may; and all of that. Where a directory is named, of what is in it."""
    opens = {one.target for one in policy.of("sallyport_inspector_t", {"open"}, FILES - {"dir", "lnk_file"})}
    common = {target for target, _ in ANYBODY_OPENS} | {"sallyport_inspector_t", "sallyport_inspector_exec_t", "sysctl_kernel_t"}
    named = set()
    for path in tables.paths_of_inspector():
        kernels = path.startswith(("/proc/", "/sys/"))
        # /proc/self/mountinfo has the label of the process.
        labels = labels_of_kernel(policy, path) if kernels else {label_of_debian(path)}
        named |= labels
        if not labels & (opens | common):
            yield f"{path} is labelled {sorted(labels)}, which it cannot open"
    for target in sorted(opens - named - common - {label_of_debian("/usr/share/zoneinfo/UTC"), label_of_debian("/usr/share/os-release")}):
        yield f"it opens {target}, which no table names"


def check_programs_get_what_the_launcher_hands_them(policy):
    """The descriptors are inherited, and one that is open for more than the domain may is taken from the program by the kernel."""
    handed = {("sallyport_output_t", "file"): {"read", "write"}, ("sallyport_launcher_t", "fifo_file"): {"write"}}
    for (target, kind), wanted in handed.items():
        for domain in policy.programs():
            if missing := wanted - {one.permission for one in policy.of(domain, wanted, {kind}, target) if not one.switch}:
                yield f"{domain} {target}:{kind} lacks {sorted(missing)}"
        has = {one.permission for one in policy.others[target] if (one.source, one.kind) == ("unconfined_t", kind)}
        if missing := wanted - has:
            yield f"unconfined_t {target}:{kind} lacks {sorted(missing)}"
