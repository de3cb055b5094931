"""The systemd unit and its drop-ins say what the agent's table of drop-ins says they do."""
import pathlib
import re

import tree

UNIT = tree.text(pathlib.Path("packaging/sallyport.service"))
TABLE = dict(re.findall(r'DropIn\{"/usr/share/sallyport/(unit/\w+\.conf)",\s+"(\w+)"', tree.text(pathlib.Path("policy/drop_ins.cpp"))))
CHOSEN = "unit/confidential.conf"  # by an admin, not by a policy
# Each makes mounts of its own, which no rule about files, freezes or programs may meet; or hides the guest's devices, name, clock.
APART = {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateMounts", "ProtectKernelTunables", "ProtectKernelModules",
         "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ProtectHostname", "ProtectClock", "DevicePolicy",
         "DeviceAllow", "ReadWritePaths"}


def drop_ins():
    return {str(file.relative_to("packaging")): tree.text(file) for file in tree.files() if file.match("packaging/unit/*.conf")}


def directives(text):
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.M))


def check_every_drop_in_is_in_the_table_and_sets_its_variable():
    found = drop_ins()
    if set(found) != set(TABLE) | {CHOSEN}:
        yield f"{sorted(set(found) ^ (set(TABLE) | {CHOSEN}))}"
    for name, variable in TABLE.items():
        if f"Environment={variable}=1\n" not in found.get(name, ""):
            yield f"{name} does not set {variable}"
    if "Environment=SALLYPORT_UNIT=1\n" not in UNIT:
        yield "the unit does not say that it is ours"


def check_it_is_for_guests_and_started_again_however_often_it_fails():
    for line in ("ConditionVirtualization=vm", "StartLimitIntervalSec=0", "Restart=always"):
        if f"\n{line}\n" not in UNIT:
            yield f"the unit does not say {line}"


def check_every_drop_in_is_installed_and_explained():
    installed, page = tree.text(pathlib.Path("packaging/meson.build")), tree.text(pathlib.Path("docs/policy.md"))
    for name in drop_ins():
        if f"'{name}'" not in installed:
            yield f"{name} is not installed"
        if f"| `{pathlib.Path(name).name}` |" not in page:
            yield f"{name} is not in docs/policy.md"


def check_the_system_as_it_is_has_nothing_of_the_units_own():
    taken_back = directives(drop_ins()["unit/system.conf"])
    for name in APART & set(directives(UNIT)):
        if taken_back.get(name) not in ("no", "default", "all", "auto", ""):
            yield f"{name} of the unit is not taken back by system.conf"


def check_where_proc_hides_which_boot_this_is_the_unit_says_it():
    variable = re.search(r'getenv\("(\w+)"\)', tree.text(pathlib.Path("broker/guard/mark.cpp")))[1]
    if f"Environment={variable}=%b\n" not in UNIT:
        yield f"the unit does not set {variable}"


def check_every_directive_that_stays_open_has_its_reason():
    """What `systemd-analyze security` looks at, and the unit does not set."""
    for name in ("User=", "PrivateUsers=", "NoNewPrivileges=", "RestrictNamespaces=", "RestrictSUIDSGID=", "PrivateDevices=", "RootDirectory="):
        if not re.search(rf"^# (\S+ )*{name}", UNIT, re.M):
            yield f"{name} is left out without a reason"
