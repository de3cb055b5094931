"""Who may include whom, what a file must say of itself, what may stand nowhere."""
import re
import subprocess

import tree

# Longest prefix wins. A folder may always include itself.
MAY_INCLUDE = {
    "base": set(),
    "schema": set(),
    "ipc": {"base", "schema"},
    "policy": {"base", "ipc", "schema"},
    "policy/tool/analyse": {"base", "policy", "ipc", "schema", "broker/freeze_plan", "inspector"},  # the planning of a freeze; what a reply shows
    "policy/tool/compile": {"base", "policy", "policy/tool/analyse", "ipc", "schema"},
    "policy/tool/log": {"base", "policy", "policy/tool/analyse", "ipc", "schema"},
    "policy/tool/verbs": {"base", "policy", "policy/tool/analyse", "policy/tool/compile", "policy/tool/log", "ipc", "schema", "sandbox", "broker/freeze_plan", "inspector"},  # the planning of a freeze; what the inspector opens
    "sandbox": {"base", "ipc"},
    "broker": {"base", "policy", "ipc", "sandbox", "schema", "broker/serve", "broker/files", "broker/guard", "broker/start"},  # what is handed over
    "broker/serve": {"base", "policy", "ipc", "sandbox", "schema", "broker/files", "broker/guard"},  # orders; the mark
    # The broker's ends of the sockets; what follows from the policy for the files hand.
    "broker/start": {"base", "policy", "ipc", "sandbox", "schema", "broker", "broker/serve", "broker/files", "broker/guard"},
    "broker/files": {"base", "policy", "ipc", "sandbox", "schema"},
    "broker/freeze_plan": {"base", "ipc"},
    "broker/guard": {"base", "broker/freeze_plan", "ipc", "sandbox"},
    # Passwords and keys of users: decided once more, done by a child, which is started as a program is.
    "broker/accounts": {"base", "policy", "ipc", "sandbox", "broker/supervisor"},
    "broker/launcher": {"base", "policy", "ipc", "sandbox", "broker/supervisor", "broker/accounts", "broker/setters"},  # decides about words once more; a supervisor is a child of it
    "broker/setters": {"base", "policy", "ipc", "sandbox"},  # decides once more what is set
    "broker/supervisor": {"base", "ipc", "sandbox"},
    "broker/recorder": {"base", "ipc", "sandbox"},
    "worker": {"base", "ipc", "sandbox", "schema"},
    "inspector": {"base", "ipc", "sandbox", "schema"},
    "tests": {"base", "policy", "policy/tool/analyse", "policy/tool/compile", "policy/tool/log", "policy/tool/verbs", "ipc", "sandbox", "schema", "broker", "broker/serve", "broker/start", "broker/files", "broker/freeze_plan", "broker/guard", "broker/recorder", "broker/accounts", "broker/setters", "worker", "inspector", "tests"},
}
ACTING_HEADERS = r'#include <(sys/(ioctl|reboot|mount|ptrace|quota|swap|klog)\.h|linux/.*)>'
MAY_ACT = ("broker/files/", "broker/guard/", "broker/launcher/", "broker/setters/", "broker/supervisor/", "broker/accounts/", "broker/recorder/", "sandbox/", "ipc/", "inspector/", "tests/")
# Types and constants that a file outside those folders cannot do without, with the reason.
ALSO = {
    "base/trusted_file.cpp": ("linux/magic.h", "the number of FUSE"),
    "broker/start/groups.cpp": ("linux/magic.h", "the number of cgroup v2"),
    "broker/serve/channel.cpp": ("linux/vm_sockets.h", "the address type of vsock"),
    "broker/start/open_channel.cpp": ("linux/vm_sockets.h", "the address type of vsock"),
    "broker/start/processes.hpp": ("linux/sched.h", "the names of namespaces"),
}
# A decision does no I/O and reads no clock: the headers for either are not there to begin with.
IMPURE_HEADERS = r"#include <(sys/|unistd|fcntl|poll|signal|dirent|netinet|c?time\b|ctime|chrono|[fio]*stream|filesystem|cstdio|stdio|thread|mutex)"


def folder_of(file):
    inside = str(file)
    return max((f for f in MAY_INCLUDE if inside.startswith(f + "/")), key=len)


def check_folders_include_only_what_they_may():
    for file in tree.sources():
        folder = folder_of(file)
        top = folder.split("/")[0]
        for number, line in enumerate(tree.text(file).splitlines(), 1):
            if not (match := re.match(r'#include "([^"]+)"', line)):
                continue
            included = match[1]
            target = folder_of(included) if "/" in included else folder
            inside = target == folder or (target.startswith(top + "/") and top not in ("broker", "policy"))
            if not inside and target not in MAY_INCLUDE[folder]:
                yield f"{file}:{number}: {folder} may not include {included}"


def check_headers_that_act_stay_in_few_folders():
    chosen = [f for f in tree.sources() if not str(f).startswith(MAY_ACT)]
    for found in tree.matches(ACTING_HEADERS, chosen):
        file = found.split(":")[0]
        if file not in ALSO or f"<{ALSO[file][0]}>" not in found:
            yield found


def check_decisions_include_no_header_for_input_or_output():
    chosen = [f for f in tree.sources("policy") if tree.is_trusted(f)]
    yield from tree.matches(IMPURE_HEADERS, chosen)


def check_trusted_files_say_where_they_run():
    for file in tree.sources():
        head = tree.text(file).splitlines()[:12]
        if tree.is_trusted(file) and not any(line.startswith("// Runs in:") for line in head):
            yield f"{file} has no `// Runs in:` label"


def check_files_that_make_privileged_calls_name_their_threat():
    for file in tree.sources("broker"):
        if file.parts[1] == "files" and file.suffix == ".hpp" and "THREAT:" not in tree.text(file):
            yield f"{file} has no THREAT: comment"


def check_trusted_code_uses_no_banned_construct():
    trusted = [f for f in tree.sources() if tree.is_trusted(f)]
    yield from tree.matches(r"\b(throw|try|catch|dynamic_cast|typeid|goto)\b|std::thread|(?<![\w:])new\s+\w", trusted)
    yield from tree.matches(r"\bSECCOMP_RET_(LOG|ALLOW)\b|\bSCMP_ACT_LOG\b", trusted)


def check_programs_end_only_in_named_files():
    may_end = {"main.cpp", "spawn.cpp", "supervise.cpp", "survey.cpp", "child.cpp", "result.hpp", "wiped_heap.cpp"}
    chosen = [f for f in tree.sources() if tree.is_trusted(f) and f.name not in may_end]
    yield from tree.matches(r"(?<![\w.>])(std::|::)?(_exit|exit|abort|quick_exit|terminate)\(", chosen)


def check_macros_are_only_the_two_of_result_hpp():
    chosen = [f for f in tree.sources() if f.parts[0] != "tests"]
    for found in tree.matches(r"^\s*#\s*define\s+\w+", chosen):
        if not found.endswith((" SALLYPORT_CHECK", " TRY")):
            yield found


def check_tests_neither_sleep_nor_skip():
    yield from tree.matches(r"sleep_(for|until)|\b(u|nano)?sleep\(|GTEST_SKIP|\bDISABLED_", tree.sources("tests"))


def check_nothing_unfinished_and_no_foreign_place_is_named():
    # Written in pieces so that this file does not find itself.
    words = ["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]
    places = ["/wo" "rk/(main|shared)", r"\.\./sha" "red", "desi" r"gn\.md", "sty" r"le\.md", r"proto" r"col\.md",
              "py" r"pi\.org", "np" r"mjs", "crat" r"es\.io", r"deb\." "debian", r"proxy\." "golang"]
    pattern = r"\b(" + "|".join(words) + r")\b(?! ?\(?#\d)|" + "|".join(places)
    chosen = [f for f in tree.files() if f.suffix not in (".bin", ".png") and f.parts[0] != "LICENSE"]
    yield from tree.matches(pattern, chosen, tree.text)


def check_layout_is_what_clang_format_makes():
    command = ["clang-format-19", "--dry-run", "-Werror", *map(str, tree.sources())]
    result = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True)
    places = re.findall(r"^(\S+?):(\d+):\d+: error: code should be clang-formatted", result.stderr, re.M)
    for file, line in dict(reversed(places)).items():  # the first place in each file
        yield f"{file}:{line}"
    if result.returncode and not places:
        yield result.stderr
