"""What the project's own tables say of each process, read from the sources that hold them."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def text(path):
    return (ROOT / path).read_text()


def processes():
    """{name: row} of the table of processes: where the program is installed, as whom it runs, how far apart, its filters."""
    rows = {}
    for line in re.findall(r"^inline constexpr Process k\w+\s*\{.*", text("broker/start/processes.hpp"), re.M):
        title, installed = re.findall(r'"(sallyport-\w+)"', line)[0], re.findall(r'"\.\./((?:libexec|bin)/[\w/-]+)"', line)[0]
        rows[title] = {"program": "/usr/" + installed, "runs_as": re.search(r"RunsAs::k(\w+)", line)[1],
                       "apart": re.search(r"Apart::k(\w+)", line)[1],
                       "standard": re.search(r"Standard::k(\w+)", line)[1],
                       "filters": int(re.search(r"(\d+), (?:\w+_is_ready|nullptr)\};", line)[1])}
    assert len(rows) == 8, f"rows of the table of processes that are not understood: {sorted(rows)}"
    return rows


def domain_of(title):
    """The domain that a row of the table should have."""
    return "sallyport_compiler_t" if title == "sallyport-policy" else title.replace("-", "_") + "_t"


def functions(path):
    """{name: body} of a C++ file."""
    return dict(re.findall(r"^[\w:<>&, ]*?(\w+)\([^;{]*\) \{\n(.*?)^\}", text(path), re.M | re.S))


def capabilities():
    """{domain: what it keeps} by sandbox/capabilities.cpp, and what it has besides to put the others down: the bounding set of
    root's processes is emptied."""
    keeping = functions("sandbox/capabilities.cpp")
    lockdowns = functions("sandbox/lockdown.cpp")
    kept = {}
    for name, body in lockdowns.items():
        if not (lockdown := re.fullmatch(r"lockdown_(broker|files|guard|launcher|recorder|compiler|setter)", name)):
            continue
        assert "keep_capabilities(" in body or "drop_powers(" in body, f"{name}() keeps none and drops none"
        mine = set()
        for table in re.findall(r"(\w+_capabilities)\(", body):
            mine |= {one.lower() for one in re.findall(r"\bCAP_(\w+)", keeping.get(table, ""))}
        if "Bounding::kLeave" not in body:
            mine.add("setpcap")
        kept[f"sallyport_{lockdown[1]}_t"] = mine
    kept["sallyport_compiler_t"] = set()  # it is not root's: its bounding set is left
    return kept


def userns_capabilities():
    """What a process that is root in a user namespace of its own uses there."""
    start = re.search(r"kNurseryStart\{(.*?)\}", text("sandbox/namespaces.cpp"))[1]
    return {one.lower() for one in re.findall(r"CAP_(\w+)", start)}


def rows_of(process):
    """(call, row) of its table of system calls."""
    return re.findall(r"SyscallRule\{SCMP_SYS\((\w+)\),(.*)", text("sandbox/tables.hpp") + text(f"sandbox/syscalls_{process}.cpp"))


def executes():
    """Which domains have a call that executes: by its table of system calls, or since it has no table."""
    with_table = {name: any(call.startswith("execve") for call, _ in rows_of(name))
                  for name in ("broker", "compiler", "files", "guard", "inspector", "recorder", "setter", "worker")}
    assert with_table["worker"], "the nursery's rows are in the worker's file, and it is in its domain once it is confined"
    without = {title for title, row in processes().items() if row["filters"] == 0}
    return ({f"sallyport_{name}_t" for name, does in with_table.items() if does}
            | {domain_of(title) for title in without} | {"sallyport_nursery_t", "sallyport_starter_t"})


def worker_calls():
    """What a worker's own filter has, without the nursery's rows, which are in the same file."""
    table = re.search(r"kWorkerRows\b.*?\n(.*?)^\}\);", text("sandbox/syscalls_worker.cpp"), re.M | re.S)[1]
    calls = set(re.findall(r"SCMP_SYS\((\w+)\)", text("sandbox/tables.hpp") + table))
    assert {"read", "exit_group"} <= calls, f"not understood: {sorted(calls)}"
    return calls


def requests(process):
    """The numbers of its ioctl() rows, the 16 bits that SELinux looks at."""
    numbers = {"FIFREEZE": 0x5877, "FITHAW": 0x5878, "FITRIM": 0x5879, "RTC_RD_TIME": 0x7009, "RTC_SET_TIME": 0x700a}
    return {numbers[re.search(r"is_int\(1, (\w+)\)", row)[1]] for call, row in rows_of(process) if call == "ioctl"}


def kept_files():
    """What the agent makes in its state directory, by the names in its sources."""
    names = set()
    for file in sorted((ROOT / "broker").rglob("*.cpp")):
        names |= set(re.findall(r'constexpr (?:const char\*|std::string_view) k\w+ = "((?:sallyport|audit)\.[\w.]+)";', file.read_text()))
    assert {"audit.jsonl", "sallyport.frozen", "sallyport.denied"} <= names, f"not understood: {sorted(names)}"
    return names


def paths_of_inspector():
    """What it has open from its start, what is replaced now and then, and the trees of its children."""
    rows = re.findall(r"^    (?:Source|Names|Tree)\{CommandId::k\w+,(.*)\},$", text("inspector/sources.cpp") + text("inspector/needs.cpp"), re.M)
    paths = {path for row in rows for path in re.findall(r'"(/[^"]+)"', row)}
    assert len(rows) > 10 and {"/proc/stat", "/sys/block", "/etc/localtime"} <= paths, f"not understood: {sorted(paths)}"
    return paths
