#!/usr/bin/python3
"""What the tool says to other programs: JSON, SARIF, the schema for editors, what each process may do.

usage: texts.py TOOL
"""
import datetime
import json
import pathlib
import re
import sys
import tomllib

import jsonschema
import tap
from tap import ROOT, tool

SCHEMA = json.loads(tool("schema").stdout)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
SCRATCH = tap.scratch()
FOLDER = pathlib.Path(SCRATCH.name)
BROKEN = 'schema = 1\ninclude = ["profile:compat"]\ninclde = 1\n[[allow]]\nid = "x"\ncommands = ["guest-nothing"]\n'
# Each key that has no simpler value, once.
FULL = """schema = 1
peers = { uids = ["root", 7], cids = [3] }
audit = { max_size = "16MiB", keep = 20, on_loss = "go on", journal = "all" }
[[allow]]
id = "all"
commands = ["@inspect", "@file", "@freeze", "guest-shutdown", "@exec", "@accounts", "@hardware"]
files = [{ under = "/", access = ["read"], max_size = 7, owner = ["root", 7], kinds = ["fifo"] }]
modes = ["halt"]
freeze = { mounts = ["/srv"], max_frozen = "500ms", per_mount = "1m", hooks = "/etc/hooks" }
users = ["root"]
crypted = "any"
key_types = ["ssh-rsa"]
require = ["restrict"]
time = { max_step = "any" }
vcpus = { min_online = 1, cpus = "0-3,7" }
memory = { blocks = "any" }
reply = { interfaces = ["eth*"], without = ["serial"] }
expires = 2030-01-31T00:00:00Z
when = { days = "mon-fri,sun", hours = "22:00-05:00", tz = "UTC" }
[[allow.exec]]
program = "/bin/a"
args = ["b", { one_of = ["c"] }, { int = [1, 5] }, { under = "/srv" }, { name = 64 }]
run_as = "root"
env = { LANG = "C" }
host_env = ["TZ"]
input = "1KiB"
confine = { network = false, write = ["/srv"], memory = "1MiB", tasks = 3 }
[[never]]
id = "never"
exec = { programs = ["/bin/sh"], run_as = ["root", 7] }
"""


def as_json(text):
    """A policy as an editor sees it, with times as texts."""
    def plain(value):
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        return value.isoformat() if isinstance(value, (datetime.datetime, datetime.date, datetime.time)) else value
    return plain(tomllib.loads(text))


def write(name, text):
    (FOLDER / name).write_text(text)
    return FOLDER / name


def policies_of_the_tree():
    """Each policy that is shipped, and each that stands on a page or in a test as a whole."""
    for file in (ROOT / "policy/tool/profiles").rglob("*.toml"):
        if file.parent.name != "cases":
            yield file, file.read_text()
    for file in ROOT.glob("docs/*.md"):
        for text in re.findall(r"^```toml\n(.*?)^```", file.read_text(), re.M | re.S):
            if text.startswith(("schema = 1", "[[allow]]", "[[never]]")):
                yield file, text if text.startswith("schema") else "schema = 1\n" + text


def check_the_schema_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    return []


def check_every_policy_of_the_tree_is_one_by_the_schema():
    for file, text in [*policies_of_the_tree(), ("FULL", FULL)]:
        yield from (f"{file}: {fault.json_path}: {fault.message}: {text[:200]}" for fault in VALIDATOR.iter_errors(as_json(text)))


def check_every_policy_on_a_page_is_one_for_the_compiler():
    names = "".join(f"{name}:x:{1000 + at}:1000::/home/{name}:/bin/sh\n" for at, name in enumerate(["alice"]))
    for file, text in policies_of_the_tree():
        text = text.replace('["alice"]', '["root"]') if names and file.suffix == ".md" else text
        said = tool("check", write("page.toml", text))
        if said.returncode != 0:
            yield f"{file}: {said.stderr}"


def check_every_key_has_a_type():
    for owner, table in SCHEMA["definitions"].items():
        yield from (f"{owner}: {key}" for key, value in table["properties"].items() if value == {})


def tables(value, path=()):
    """The places of all tables in a policy."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from tables(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from tables(inner, (*path, at))


def check_no_table_takes_a_key_that_is_unknown():
    for place in tables(as_json(FULL)):
        policy = as_json(FULL)
        table = policy
        for step in place:
            table = table[step]
        table["nonsense"] = "x"
        if VALIDATOR.is_valid(policy) and place[-1:] != ("env",):
            yield f"{place} takes nonsense"


def check_what_the_schema_refuses_the_compiler_refuses():
    for before, after in (('"guest-shutdown"', '"guest-shutdwn"'), ('"halt"', '"hlt"'), ('"read"', '"raed"'), ('"500ms"', '"500"'), ('"/srv"]', '"srv"]'),
                          ("keep = 20", "keep = 0"), ("tasks = 3", "tasks = 0"), ('"any"\nkey', '"all"\nkey'), ("schema = 1", "schema = 2"), ('"0-3,7"', '"0-3;7"'),
                          ("max_size = 7", "max_size = 0"), ("args = [", 'args = "b"\n#'), ("id = \"all\"", "id = \"a b\""), ("network = false", "network = 0")):
        text = FULL.replace(before, after)
        if text == FULL or VALIDATOR.is_valid(as_json(text)):
            yield f"{after}: the schema takes it"
        if tool("check", write("wrong.toml", text)).returncode == 0:
            yield f"{after}: the compiler takes it"


def check_the_compiler_takes_what_the_schema_is_shown():
    said = tool("check", write("full.toml", FULL))
    if said.returncode != 0:
        yield said.stderr


def check_check_says_the_same_as_json_also_of_standard_input():
    broken = write("broken.toml", BROKEN)
    plain = tool("check", broken).stderr.splitlines()
    for said in (tool("check", "--json", broken), tool("check", "--json", "--stdin", broken, text=BROKEN)):
        found = json.loads(said.stdout)
        lines = [f"{one['file']}:{one['line']}:{one['column']}: {one['severity']}: {one['text']}" for one in found["messages"]]
        if said.returncode != 1 or found["good"] or lines != plain or said.stderr:
            yield f"{lines} and not {plain}"
    good = write("good.toml", 'schema = 1\ninclude = "profile:compat"\n')
    found = json.loads(tool("check", "--json", good).stdout)
    if not found["good"] or found["digest"] != tool("digest", good).stdout.strip():
        yield f"{found}"
    if {one["severity"] for one in found["messages"]} != {"warning"} or {one["file"] for one in found["messages"]} != {"profile:compat"}:
        yield f"{found['messages']}"


def check_sarif_has_each_error_with_its_place():
    said = tool("check", "--sarif", write("broken.toml", BROKEN))
    log = json.loads(said.stdout)
    results = log["runs"][0]["results"]
    regions = [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in results]
    if said.returncode != 1 or log["version"] != "2.1.0" or regions != [3, 6] or {one["level"] for one in results} != {"error"}:
        yield said.stdout
    rules = {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    yield from (one["ruleId"] for one in results if one["ruleId"] not in rules)
    if tool("check", "--sarif", "--json", FOLDER / "broken.toml").returncode != 2:
        yield "both at once"


def check_effective_fmt_and_digest_have_json():
    good = write("good.toml", "schema    = 1\ninclude = 'profile:libvirt'\n")
    effective = json.loads(tool("effective", "--json", good).stdout)
    if effective != as_json(tool("effective", good).stdout) or not VALIDATOR.is_valid(effective):
        yield f"{effective}"
    laid = json.loads(tool("fmt", "--json", good).stdout)
    if laid != {"laid_out": False, "text": tool("fmt", good).stdout}:
        yield f"{laid}"
    said = tool("fmt", "--json", "--check", good)
    if (said.returncode, json.loads(said.stdout)) != (3, {"laid_out": False}):
        yield said.stdout
    if json.loads(tool("digest", "--json", good).stdout) != {"digest": tool("digest", good).stdout.strip()}:
        yield "digest"


def check_privileges_are_all_rows_of_the_tables():
    *rows, kernel = [json.loads(line) for line in tool("privileges", "--json").stdout.splitlines()]
    said = tool("privileges").stdout
    written = sum(file.read_text().count("SyscallRule{SCMP_SYS(") for file in (ROOT / "sandbox").glob("syscalls_*.cpp"))
    calls = sum(len(row["calls"]) for row in rows)
    if said.count("\n  call ") != calls or calls < written:
        yield f"{calls} calls, {written} rows in the tables"
    kept = {row["process"]: {one["name"] for one in row["capabilities"]} for row in rows}
    roots = {row["process"]: row["root"] for row in rows}
    if {name for name, root in roots.items() if root == "empty and read-only"} != {"nursery", "worker"}:
        yield f"{roots}"
    if kept["worker"] or kept["broker"] or kept["guard"] != {"sys_admin", "dac_read_search"}:
        yield f"{kept}"
    if f"\nthis kernel\n  Landlock {kernel['landlock']}\n" not in said or said.count("\n  until Linux ") != len(kernel["lacks"]):
        yield f"{kernel}"


def check_privileges_names_the_places_that_a_policy_opens():
    policy = FOLDER / "places.toml"
    policy.write_text("""schema = 1
[[allow]]
id = "export"
commands = ["@file"]
files = [{ under = "/srv/export/a", access = ["read"] }, { under = "/data/b", access = ["read", "write", "create"], kinds = ["regular", "directory"] }]
[[deny]]
id = "keys"
files = [{ under = "/srv/export/a/keys" }]
[[allow]]
id = "disks"
commands = ["guest-get-disks", "guest-get-osinfo"]
[[allow]]
id = "run"
commands = ["@exec"]
[[allow.exec]]
program = "/bin/true"
args = []
run_as = "root"
confine = { write = ["/var/tmp"], no_new_privileges = true }
""")
    rows = [json.loads(line) for line in tool("privileges", "--json", policy).stdout.splitlines()]
    opened = {row["process"]: [(one["where"], *one["rights"]) for one in row["places"]] for row in rows if "process" in row}
    expected = {
        "broker": [], "worker": [],
        "files": [("/srv", "read files"), ("/", "read files", "write files", "open directories", "make files", "remove files")],
        "inspector": [("/sys/block", "read files", "open directories"), ("/sys/devices", "read files", "open directories"), ("/run/udev/data", "read files"),
                      ("/", "read files")],
        "guard": [("/", "open directories"), ("/sys", "read files", "open directories")],
    }
    yield from (f"{name}: {opened[name]}" for name, places in expected.items() if opened[name] != places)
    programs = [row for row in rows if "program" in row]
    if programs != [{"program": "/bin/true", "rule": "run", "writes_beneath": ["/var/tmp"]}]:
        yield f"{programs}"
    said = tool("privileges", policy).stdout
    for line in ("  beneath /srv: read files (rule 'export' (", "program '/bin/true' of rule 'run'\n  root: the machine's\n  writes beneath /var/tmp\n"):
        if line not in said:
            yield f"{line}: {said[-600:]}"


if __name__ == "__main__":
    sys.exit(tap.main(globals()))
