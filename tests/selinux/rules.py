"""What must be so in the linked policy: every function check_... yields its faults."""
import re

import tables
from linked import is_ours

FILES = {"file", "dir", "lnk_file", "chr_file", "blk_file", "sock_file", "fifo_file"}
CHANGES = {"write", "append", "create", "setattr", "unlink", "link", "rename", "add_name", "remove_name", "reparent", "rmdir",
           "mounton", "relabelfrom", "relabelto", "swapon", "quotaon"}
STARTS = {"execute_no_trans", "transition", "dyntransition", "setexec", "setcurrent"}
# Which domains of the agent may read or change passwords. None: a program that sets one has a domain of the system's.
MAY_READ_SHADOW = set()
SHADOW = {"shadow_t", "shadow_history_t", "shadow_lock_t"}
WORKER = "sallyport_worker_t"
SETTER = "sallyport_setter_t"
# Those that are not entered by a program of their own, but by another domain's, which executes itself.
ENTERED_BY = {WORKER: "sallyport_nursery_exec_t", SETTER: "sallyport_launcher_exec_t"}
# Into which domains the launcher starts what, besides programs: by a switch, what runs unconfined; by another, chpasswd; setters.
LAUNCHER_STARTS = {"unconfined_t", "passwd_t", SETTER}

# What domain_type() brings, whatever the domain, and nobody can leave out: the loader, its libraries, devices that are nobody's,
# the process's own /proc. A new version of Debian's policy may change it; it is to be looked at then.
ANYBODY_OPENS = {
    ("cpu_online_t", "file"), ("ld_so_cache_t", "file"), ("ld_so_t", "file"), ("lib_t", "file"), ("sysctl_crypto_t", "file"),
    ("textrel_shlib_t", "file"), ("devtty_t", "chr_file"), ("null_device_t", "chr_file"), ("urandom_device_t", "chr_file"),
    ("zero_device_t", "chr_file"), ("setrans_runtime_t", "sock_file"),
    # To pass through, or to list.
    ("device_t", "dir"), ("etc_t", "dir"), ("lib_t", "dir"), ("proc_t", "dir"), ("root_t", "dir"), ("setrans_runtime_t", "dir"),
    ("sysctl_crypto_t", "dir"), ("sysctl_t", "dir"), ("sysfs_t", "dir"), ("usr_t", "dir"), ("var_run_t", "dir"), ("var_t", "dir"),
}
ANYBODY_CHANGES = {("devtty_t", "chr_file"), ("null_device_t", "chr_file"), ("zero_device_t", "chr_file"),
                   ("setrans_runtime_t", "sock_file")}
# Of a domain's own: /proc/self, descriptors, sockets.
OWN_KINDS = {"dir", "file", "lnk_file"}


def check_every_program_has_a_label_and_a_domain(policy):
    """Each row of the table of processes: a label of its own for its file, and a transition of the starter's into its domain."""
    labels = dict(re.findall(r"^(/usr/\S+)\s+--\s+gen_context\(system_u:object_r:(\w+),s0\)", policy.texts["fc"], re.M))
    rows = tables.processes()
    for title, row in rows.items():
        label = labels.get(row["program"])
        domain = tables.domain_of(title)
        if domain not in policy.domains():
            yield f"{title}: there is no {domain}"
        elif ("sallyport_starter_t", label, "process", domain) not in policy.transitions:
            yield f"{title}: {row['program']} is labelled {label}, by which the starter does not get to {domain}"
    if len(set(labels.values())) != len(labels) or len(labels) != len(rows) + 1:
        yield f"not one label for each program: {labels}"


def check_transitions_hold_where_the_kernel_doubts_them(policy):
    """From a mount namespace that is not the file's, a mount counts as nosuid; no-new-privileges is set before some executions."""
    wanted = {("sallyport_nursery_t", WORKER): {"nnp_transition", "nosuid_transition"}}
    for title, row in tables.processes().items():
        doubts = {"nosuid_transition"} if row["apart"] == "All" else set()
        if row["runs_as"] == "Plain" and row["apart"] == "Nothing":
            doubts.add("nnp_transition")
        wanted["sallyport_starter_t", tables.domain_of(title)] = doubts
    for (start, end), doubts in wanted.items():
        held = {one.permission for one in policy.of(start, kinds={"process2"}, target=end)}
        if held != doubts:
            yield f"{start} to {end}: {sorted(held)}, not {sorted(doubts)}"


def check_each_domain_is_entered_by_its_program_alone(policy):
    for domain in policy.domains():
        by = {one.target for one in policy.of(domain, {"entrypoint"}, {"file"})}
        own = ENTERED_BY.get(domain, domain.replace("_t", "_exec_t"))
        if by != {own}:
            yield f"{domain} is entered by {sorted(by)}"


def check_the_worker_is_entered_from_the_nursery_alone(policy):
    """And by those of Debian's domains that may start anything in any domain."""
    may = policy.having("unconfined_domain_type", "set_curr_context")
    for one in sorted(policy.others[WORKER]):
        is_debugged = (one.source, one.permission, one.switch) == ("sysadm_t", "ptrace", "allow_ptrace")
        if one.permission in ("transition", "dyntransition", "ptrace") and one.source not in may and not is_debugged:
            yield str(one)
    for domain in policy.domains() - {"sallyport_nursery_t"}:
        yield from map(str, policy.of(domain, {"transition", "dyntransition"}, target=WORKER))


# Of the right to fork, and to hear of a child, nobody can be without: every domain has it.
ANYBODY_OF_ITSELF = {"fork", "getsched", "setrlimit", "sigchld"}
# What the nursery has besides, which is in the workers' domain since it forks them: it ends workers, and executes its own program.
NURSERY_OF_ITSELF = {"sigkill"}
# Calls by which that would be done.
CALLS_OF_THE_NURSERY = {"execve", "execveat", "fork", "vfork", "clone", "clone3", "kill", "tkill", "tgkill", "pidfd_send_signal",
                        "rt_sigqueueinfo", "recvmsg", "recvmmsg", "dup", "dup2", "dup3", "prlimit64"}


def check_what_workers_share_with_the_nursery_their_own_filter_takes(policy):
    """A worker is forked, so that it has the domain of the nursery that forks it."""
    for one in policy.of(WORKER, kinds={"process", "process2"}, target=WORKER):
        if one.permission not in ANYBODY_OF_ITSELF | NURSERY_OF_ITSELF:
            yield str(one)
    if shared := tables.worker_calls() & CALLS_OF_THE_NURSERY:
        yield f"a worker's own filter has {sorted(shared)}"


def check_the_worker_opens_nothing_but_what_anybody_may(policy):
    opens = {(one.target, one.kind) for one in policy.of(WORKER, {"open"}, FILES)}
    for target, kind in sorted(opens - ANYBODY_OPENS - {(WORKER, kind) for kind in OWN_KINDS}):
        if (target, kind) != (ENTERED_BY[WORKER], "file"):
            yield f"{WORKER} {target}:{kind} open"


def check_the_worker_changes_nothing_but_arena_and_channel(policy):
    held = {("sallyport_arena_t", "file", "write"), ("sallyport_memory_t", "file", "write"), ("sallyport_channel_t", "chr_file", "write"),
            ("tty_device_t", "chr_file", "write")}
    for one in policy.of(WORKER, CHANGES, FILES):
        pair = (one.target, one.kind)
        if pair in ANYBODY_CHANGES or (one.target == WORKER and one.kind in OWN_KINDS):
            continue
        if (*pair, one.permission) not in held or (one.target == "tty_device_t" and one.switch != "sallyport_other_channels"):
            yield str(one)


def check_the_worker_makes_and_connects_no_socket(policy):
    """But of its own kind, by socketpair() and the like: what every domain may. Its filter has no such call."""
    for one in policy.of(WORKER):
        if one.kind.endswith("_socket") and one.permission in ("create", "connect", "connectto", "bind", "listen", "sendto"):
            if one.target not in (WORKER, "setrans_t") or one.kind not in ("unix_stream_socket", "unix_dgram_socket"):
                yield str(one)


def check_only_who_has_a_call_for_it_executes(policy):
    """By the tables of system calls: the starter, the nursery and the launcher. In the workers' domain, since the nursery is there once it
    is confined, that program alone, and in that domain."""
    into = {"sallyport_starter_t": policy.domains() - {WORKER, SETTER, "sallyport_starter_t"},
            "sallyport_nursery_t": {WORKER}, WORKER: set(),
            "sallyport_launcher_t": policy.programs() | LAUNCHER_STARTS}
    if set(into) != tables.executes():
        yield f"the tables of system calls let execute: {sorted(tables.executes())}"
    for domain in policy.domains():
        for one in policy.of(domain, STARTS):
            if domain == "sallyport_launcher_t" and one.permission == "execute_no_trans":
                continue  # an interpreter without a label of its own; what it starts has a transition
            if (domain, one.target, one.permission) == (WORKER, ENTERED_BY[WORKER], "execute_no_trans"):
                continue
            if one.permission != "transition" or one.target not in into.get(domain, ()):
                yield str(one)


def check_capabilities_are_those_that_each_lockdown_keeps(policy):
    expected = tables.capabilities()
    expected["sallyport_launcher_t"] -= {"setpcap"}  # its bounding set is left
    # It has what root has, for the while of the start; of that it uses these.
    expected["sallyport_starter_t"] = {"dac_override", "dac_read_search", "setgid", "setuid", "sys_resource"}
    switched = {"sallyport_launcher_t": {"sys_admin": "sallyport_cut_network", "sys_boot": "sallyport_power_by_kernel"},
                SETTER: {"sys_time": "sallyport_set_clock"}}
    for domain in policy.domains():
        grants = policy.of(domain, kinds={"capability", "capability2"})
        if (held := {one.permission for one in grants}) != expected.get(domain, set()):
            yield f"{domain} has {sorted(held)}, its lockdown keeps {sorted(expected.get(domain, set()))}"
        for one in grants:
            if one.switch != switched.get(domain, {}).get(one.permission, ""):
                yield f"{domain}: {one.permission} is under '{one.switch}'"


def check_only_the_guard_has_sys_admin(policy):
    for domain in policy.domains() | policy.programs():
        for one in policy.of(domain, {"sys_admin"}, {"capability"}):
            if domain != "sallyport_guard_t" and one.switch != "sallyport_cut_network":
                yield str(one)


def check_rights_in_a_user_namespace_are_those_of_its_first_process(policy):
    for domain in policy.domains():
        held = {one.permission for one in policy.of(domain, kinds={"cap_userns", "cap2_userns"})}
        most = {"sallyport_starter_t": tables.userns_capabilities() | {"kill", "sys_ptrace"},  # who makes it looks at it
                "sallyport_broker_t": {"kill"},  # by its end, those that are in one
                "sallyport_nursery_t": tables.userns_capabilities(),
                "sallyport_inspector_t": tables.userns_capabilities() - {"sys_admin"}}
        if held - most.get(domain, set()):
            yield f"{domain}: {sorted(held)} in a user namespace"


def range_of(numbers):
    assert len(numbers) == max(numbers) - min(numbers) + 1, f"not a range: {sorted(numbers)}"
    return f"{min(numbers):#06x}-{max(numbers):#06x}"


def check_freezing_is_three_requests_about_directories(policy):
    """And what a setter asks of the hardware clock is two."""
    wanted = {("sallyport_guard_t", "dir", range_of(tables.requests("guard"))),
              (SETTER, "chr_file", range_of(tables.requests("setter")))}
    for domain, target, kind, which in policy.xperms:
        if is_ours(domain) and (domain, kind, which) not in wanted:
            yield f"{domain} {target}:{kind} ioctl {which}"
    may = {target for domain, target, _, _ in policy.xperms if domain == "sallyport_guard_t"}
    for target in ("root_t", "var_t", "mysqld_db_t", "httpd_sys_content_t", "unlabeled_t", "tmp_t", "home_root_t", "etc_t"):
        if target not in may & {one.target for one in policy.of("sallyport_guard_t", {"ioctl"}, {"dir"})}:
            yield f"a mount point that is labelled {target} cannot be frozen"


def check_a_setter_changes_the_clock_or_sysfs_by_a_switch_each(policy):
    """And only by what the launcher tells it: it makes and opens nothing else."""
    switches = {"clock_device_t": "sallyport_set_clock", "sysfs_t": "sallyport_set_devices"}
    for one in policy.of(SETTER, CHANGES | {"open"}, FILES):
        if (one.target, one.kind) in ANYBODY_OPENS or one.target in {SETTER, ENTERED_BY[SETTER], "sysctl_kernel_t"}:
            continue
        if one.switch != switches.get(one.target):
            yield str(one)
    for domain in policy.domains() - {"sallyport_launcher_t"}:
        yield from map(str, policy.of(domain, {"transition"}, target=SETTER))


def check_control_groups_are_made_by_starter_and_launcher_alone(policy):
    for domain in policy.domains() - {"sallyport_starter_t", "sallyport_launcher_t"}:
        yield from map(str, policy.of(domain, CHANGES, FILES, "cgroup_t"))


def check_keys_of_users_are_written_by_a_switch_alone(policy):
    """Below a home directory: what is labelled as what ssh reads."""
    for domain in policy.domains():
        for target in ("ssh_home_t", "user_home_dir_t", "user_home_t"):
            for one in policy.of(domain, CHANGES | {"read"}, {"file", "dir"}, target):
                may = domain == "sallyport_launcher_t" and target != "user_home_t" and one.switch == "sallyport_change_accounts"
                if not may and domain != "sallyport_guard_t":
                    yield str(one)


def check_the_guard_opens_no_file_of_the_system(policy):
    """But what the kernel says, the links on the way, and its mark."""
    kernels = {"proc_t", "sysfs_t", "sysctl_kernel_t", "cpu_online_t", "proc_net_t", "cgroup_t"}
    for one in policy.of("sallyport_guard_t", {"open"}, FILES - {"dir", "lnk_file"}):
        if (one.target, one.kind) not in ANYBODY_OPENS and one.target not in kernels | {
                "sallyport_guard_t", "sallyport_guard_exec_t", "sallyport_state_t"} and "init" not in one.target:
            yield str(one)


def check_files_of_others_are_read_and_written_by_label_and_switch_alone(policy):
    """The files hand and the broker: no file of the system but those that its admin has labelled for it."""
    labelled = {"sallyport_read_exports": policy.names["sallyport_exported"],
                "sallyport_write_imports": policy.names["sallyport_imported"]}
    agents = {"sallyport_arena_t", "sallyport_memory_t", "sallyport_log_t", "sallyport_state_t", "sallyport_denied_t",
              "sallyport_runtime_t", "sysctl_kernel_t", "sallyport_starter_t", "init_tmpfs_t"}
    for domain in ("sallyport_files_t", "sallyport_broker_t"):
        for one in policy.of(domain, {"read", "write", "append", "create", "unlink"}, {"file", "blk_file"}):
            if (one.target, one.kind) in ANYBODY_OPENS or one.target in agents | {domain, domain.replace("_t", "_exec_t")}:
                continue
            if one.target not in labelled.get(one.switch, ()) or (
                    one.permission != "read" and one.switch == "sallyport_read_exports"):
                yield str(one)


def check_nobody_but_the_guard_lists_directories_that_are_not_for_it(policy):
    """Many walk through every directory; of a mount point the guard has to open it."""
    for domain in policy.domains() - {"sallyport_guard_t"}:
        for target in ("home_root_t", "user_home_dir_t", "mysqld_db_t", "tmp_t", "var_log_t", "sallyport_state_t"):
            for one in policy.of(domain, {"read"}, {"dir"}, target):
                # The state is theirs, or given to them; a log of the starter's own words is made beside others.
                theirs = ("sallyport_starter_t", "sallyport_recorder_t", "sallyport_files_t")
                if (domain, target) != ("sallyport_starter_t", "var_log_t") and (
                        target != "sallyport_state_t" or domain not in theirs):
                    yield str(one)


def check_nobody_reads_the_passwords(policy):
    for domain in (policy.domains() | policy.programs()) - MAY_READ_SHADOW:
        for one in policy.of(domain, CHANGES | {"read", "open"}, {"file"}):
            if one.target in SHADOW:
                yield str(one)


def check_nobody_chooses_a_domain(policy):
    """Forked children stay where their parents are, since none may go elsewhere without an execve()."""
    for domain in policy.domains():
        for one in policy.of(domain, {"setcurrent", "dyntransition", "setexec", "setfscreate", "setsockcreate", "execmem",
                                      "execstack", "execheap", "ptrace"}):
            yield str(one)


# What a worker may write into: for the arena and the sockets, the broker answers for what becomes of it; to the starter it writes
# when there is no host yet. A serial line is a channel, too.
WORKER_TELLS = {"sallyport_arena_t", "sallyport_memory_t", "sallyport_channel_t", "sallyport_broker_t", "sallyport_starter_t",
                "tty_device_t"}
# Who takes that out again besides the broker: clerks, which write to a file what the broker orders. The recorder and the starter have
# memory of the same kind, from before there is a host. The nursery, by whose hands it goes, has the workers' domain by then.
READ_ARENAS = {"sallyport_broker_t", "sallyport_worker_t", "sallyport_files_t"}
# The terminal that a process is on, a question to the label server: what every domain may. A worker has no call that opens either.
COMMON = {"devtty_t", "null_device_t", "zero_device_t", "setrans_runtime_t", "setrans_t"}
TELLS = {"write", "append", "sendto", "connectto", "send_msg", "nlmsg_write", "create", "setattr"}


# Of Debian's own domains, besides the unconfined: those that act on every device, whosever it is.
ACT_ON_DEVICES = {"udev_t", "systemd_tmpfiles_t", "kdumpctl_t"}


def readers_of(policy, held, kind):
    """Who reads it, but those that are meant to read everything."""
    sees_all = policy.having("files_unconfined_type", "devices_unconfined_type", "unconfined_domain_type", "kern_unconfined")
    others = {one.source for one in policy.others[held] if one.permission == "read" and one.kind == kind}
    return others - sees_all | {domain for domain in policy.domains() | policy.programs()
                                if policy.of(domain, {"read"}, {kind}, held)}


def told_by(policy, domain):
    return {one.target: one for one in policy.of(domain, TELLS) if one.target not in COMMON | {domain}
            and one.kind != "filesystem"}


def check_bytes_of_the_host_leave_by_the_broker_or_on_its_order(policy):
    """From the channel: who reads it, what these write, and who reads that."""
    hold = READ_ARENAS - {"sallyport_files_t"} | {"sallyport_starter_t"} | ACT_ON_DEVICES
    for reader in readers_of(policy, "sallyport_channel_t", "chr_file") - hold:
        yield f"{reader} reads the channel"
    for reader in readers_of(policy, "sallyport_arena_t", "file") - READ_ARENAS:
        yield f"{reader} reads arenas"
    # Its complaints go where the service's do. What deny rules named it writes before it hears anybody.
    may = {WORKER: WORKER_TELLS, "sallyport_nursery_t": {"sallyport_starter_t", "sallyport_memory_t"},
           "sallyport_files_t": WORKER_TELLS - {"sallyport_channel_t", "tty_device_t"} | {"init_t", "init_tmpfs_t"}
           | {"sallyport_state_t", "sallyport_denied_t"} | policy.names["sallyport_imported"]}
    for domain, targets in may.items():
        for target, one in told_by(policy, domain).items():
            if target not in targets:
                yield str(one)


def check_only_who_keeps_them_has_the_standard_streams_of_the_service(policy):
    for title, row in tables.processes().items():
        domain = tables.domain_of(title)
        has = bool(policy.of(domain, {"write"}, {"unix_stream_socket"}, "init_t"))
        # The guard is also a program of systemd's.
        if has != (row["standard"] == "Ours" or domain == "sallyport_guard_t"):
            yield f"{domain}: standard streams are {row['standard']} in the table of processes"
