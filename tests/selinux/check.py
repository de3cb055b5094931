#!/usr/bin/python3
"""The module for SELinux, linked with Debian's policy: every check_... of rules.py and places.py holds, and is seen to fail when its rule is
broken; the text of what the module adds is true. Speaks TAP.

usage: check.py BUILD [--write]     with --write the text is written anew
"""
import difflib
import pathlib
import sys
import tempfile
import traceback

import added
import broken
import places
import rules
from linked import compile_by_interfaces, compile_module, link, source

TEXT = pathlib.Path(__file__).with_name("added.txt")
ENDS = ("te", "fc", "if")
CHECKS = {name.removeprefix("check_"): function for module in (rules, places) for name, function in vars(module).items()
          if name.startswith("check_")}
BREAKS = [*((check, fault) for check, (_, fault) in broken.BROKEN.items()), *((check, fault) for check, _, fault in broken.ALSO)]


def faults_of(function, *arguments):
    try:
        return list(function(*arguments))
    except Exception:  # a check that cannot be made has failed; the others go on
        return traceback.format_exc().splitlines()


def paragraphs_without_a_reason(text):
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.strip().splitlines() if set(line) != {"#"}]
        if lines and not lines[0].startswith(("# ", "## ", "policy_module(")):
            yield lines[0]


def faults_of_the_text(policy, without):
    now = added.text_of(policy, without)
    if "--write" in sys.argv:
        TEXT.write_text(now)
    yield from difflib.unified_diff(TEXT.read_text().splitlines(), now.splitlines(), "added.txt", "is", lineterm="", n=0)


def what_is_not_seen(wanted, found):
    """The fault by which a broken rule shows, if it does not."""
    if not any(wanted in fault for fault in found):
        yield f"with the rule broken there is no fault '{wanted}', but:"
        yield from found


# What selinux/README.md tells an admin to write.
OF_AN_ADMIN = """policy_module(local_report, 1.0)
sallyport_program_template(report)
gen_require(`
	type var_spool_t, var_lib_t;
')
sallyport_exported_files(var_lib_t)
sallyport_imported_files(var_spool_t)
"""


def what_an_admin_does_not_get(policy):
    """Of the domain, and of the files, that his module asks for."""
    if ("sallyport_launcher_t", "sallyport_report_exec_t", "process", "sallyport_report_t") not in policy.transitions:
        yield "no domain for the program"
    for kind, permission, target, switch in (("file", "read", "var_lib_t", "sallyport_read_exports"),
                                             ("file", "create", "var_spool_t", "sallyport_write_imports")):
        if not any(one.switch == switch for one in policy.of("sallyport_files_t", {permission}, {kind}, target)):
            yield f"no {permission} of {target}"
    if policy.of("sallyport_files_t", {"write"}, {"file"}, "var_lib_t"):
        yield "what is exported can be written"


def cases(scratch, module):
    texts = {end: source(end) for end in ENDS}
    yield "every paragraph of the module begins with its reason", list(paragraphs_without_a_reason(texts["te"]))
    yield "broken: a rule without a reason", list(what_is_not_seen("allow one", paragraphs_without_a_reason("# Why.\n\nallow one\n")))
    yield "every check has a way to break it", sorted(set(CHECKS) ^ set(broken.BROKEN))
    whole, base = scratch / "whole", scratch / "base"
    for folder in (whole, base):
        folder.mkdir()
    policy = link(whole, [module], texts)
    for name, function in CHECKS.items():
        yield name.replace("_", " "), faults_of(function, policy)
    without = link(whole, [], texts)
    yield "the text of what the module adds is true", faults_of(faults_of_the_text, policy, without)
    ruined = broken.break_texts(texts)
    modules = [compile_module(scratch / "ruined", ruined), compile_by_interfaces(scratch / "admin", "local_report", OF_AN_ADMIN)]
    bad = link(base, modules, ruined, names=["base", "ssh"], is_sound=False)
    yield "a module of an admin's own gets a program a domain, and the host files", list(what_an_admin_does_not_get(bad))
    found = {name: faults_of(function, bad) for name, function in CHECKS.items()}
    for name, fault in BREAKS:
        yield f"broken: {name.replace('_', ' ')}: {fault}", list(what_is_not_seen(fault, found[name]))


def main():
    module = pathlib.Path(sys.argv[1]).resolve() / "selinux/sallyport.pp"
    print(f"1..{len(CHECKS) + len(BREAKS) + 5}")
    failed = False
    with tempfile.TemporaryDirectory(prefix="sallyport-selinux-") as scratch:
        for number, (name, faults) in enumerate(cases(pathlib.Path(scratch), module), 1):
            failed = failed or bool(faults)
            print(f"{'not ok' if faults else 'ok'} {number} - {name}")
            print("".join(f"#   {fault}\n" for fault in faults), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
