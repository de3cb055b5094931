"""What must hold of the profiles. Each yields faults."""
import tables

# Of processes that run as root. AppArmor asks the broker for kill where it ends, in user namespaces that it made, what it started.
OF_LOCKDOWNS = ("broker", "files", "guard", "recorder", "setter")
REACH = "abstractions/sallyport-reach"


def profile_of(title):
    return {"sallyport-policy": "sallyport-policy"}.get(title, title)


def check_every_program_has_a_profile_that_the_starter_changes_to(profiles):
    starts = {path.replace("/{usr/,}", "/usr/"): to for path, (_, to) in profiles["sallyportd"].files().items() if to}
    for title, row in tables.processes().items():
        if starts.get(row["program"], "").lstrip("&") != profile_of(title):
            yield f"{title}: {row['program']} is started in '{starts.get(row['program'], '')}'"
        if profile_of(title) not in profiles:
            yield f"{title} has no profile"


def check_every_profile_is_found_by_paths_from_elsewhere(profiles):
    """Descriptors of another mount namespace, of a root that is gone."""
    for name, profile in profiles.items():
        if "attach_disconnected" not in profile.flags:
            yield name


def check_capabilities_are_those_that_each_lockdown_keeps(profiles):
    kept = tables.capabilities()
    for name in OF_LOCKDOWNS:
        expected = kept[f"sallyport_{name}_t"] | {"setpcap"} | ({"kill"} if name == "broker" else set())
        if (has := profiles[f"sallyport-{name}"].capabilities()) != expected:
            yield f"sallyport-{name} has {sorted(has)}, its lockdown keeps {sorted(expected)}"
    start = tables.userns_capabilities()
    for name, expected in (("nursery", start), ("inspector", start - {"sys_admin"}), ("worker", set()), ("policy", set()),
                           ("systemctl", set())):
        if (has := profiles[f"sallyport-{name}"].capabilities()) != expected:
            yield f"sallyport-{name} has {sorted(has)}, it needs {sorted(expected)}"
    if missing := kept["sallyport_launcher_t"] - profiles["sallyport-launcher"].capabilities():
        yield f"sallyport-launcher lacks {sorted(missing)}"


def check_only_the_nursery_mounts(profiles):
    for name, profile in profiles.items():
        if name != "sallyport-nursery":
            yield from (f"{name}: {rule}" for kind in ("mount", "remount", "umount", "pivot_root") for rule in profile.of(kind))


def check_only_who_has_a_call_for_it_executes(profiles):
    # The nursery goes on in the worker's profile, which its workers share.
    may = {domain.removeprefix("sallyport_").removesuffix("_t") for domain in tables.executes()} | {"worker"}
    for name, profile in profiles.items():
        if name.removeprefix("sallyport-").replace("sallyportd", "starter") not in may:
            yield from (f"{name}: {path} {access}" for path, (access, _) in profile.files().items() if "x" in access)


def check_the_worker_has_its_channel_and_its_program(profiles):
    worker = profiles["sallyport-worker"]
    expected = {"/{dev/,}vport[0-9]*": "rw", "/{dev/,}ttyS[0-9]*": "rw", "/{usr/,}libexec/sallyport/worker": "mrix"}
    for path, (access, _) in worker.files().items():
        if expected.get(path) != access:
            yield f"{path} {access}"
    if worker.of("network") != ["network vsock stream"]:
        yield f"{worker.of('network')}"
    yield from (one for one in worker.included if one not in ("abstractions/sallyport", "local/sallyport-worker"))


def check_what_is_under_no_new_privileges_adds_a_profile(profiles):
    """It could not leave the one that it has."""
    for name, path in (("sallyportd", "/usr/bin/sallyport-policy"), ("sallyport-nursery", "/{usr/,}libexec/sallyport/worker")):
        access, to = profiles[name].files()[path]
        if "pix" not in access or not to.startswith("&"):
            yield f"{name}: {path} {access} -> {to}"


def check_what_hosts_reach_is_for_the_files_hand_and_the_broker(profiles):
    for name, profile in profiles.items():
        if (REACH in profile.included) != (name in ("sallyport-files", "sallyport-broker")):
            yield f"{name}: {profile.included}"
        wide = [f"{path} {access}" for path, (access, _) in profile.files().items()
                if path in ("/**", "/{,**}") and set(access) & set("rwal")]
        if wide and name != "sallyport-launcher":
            yield f"{name}: {wide}"


def check_nobody_but_the_launcher_may_signal_whom_it_likes(profiles):
    for name, profile in profiles.items():
        for rule in profile.of("signal") + profile.of("ptrace"):
            if "peer=" not in rule and name != "sallyport-launcher":
                yield f"{name}: {rule}"


def check_what_all_share_is_code_and_nobodys_secret(profiles):
    shared = profiles.shared
    expected = {"/etc/ld.so.cache": "r", "/{usr/,}lib{,32,64}/**": "mr", "/{dev/,}null": "rw", "@{PROC}/sys/kernel/cap_last_cap": "r",
                "@{PROC}/@{pid}/status": "r"}
    if (has := {path: access for path, (access, _) in shared.files().items()}) != expected:
        yield f"shared: {sorted(has.items() ^ expected.items())}"
    others = [rule for rule in shared.rules if rule.split()[0] not in ("abi", "signal", "ptrace") and rule[0] not in "/@" and rule != "network unix"]
    yield from (f"shared: {rule}" for rule in others)
    yield from (f"shared: {rule}" for rule in shared.of("signal") + shared.of("ptrace") if "(receive)" not in rule and "(readby)" not in rule)
