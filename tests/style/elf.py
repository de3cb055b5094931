"""Hardening, read back from the files that were built."""
import functools
import json
import pathlib
import re
import subprocess
import sys

import tree

BUILD = pathlib.Path(sys.argv[1]).resolve()
PROGRAMS = (
    "broker/sallyportd", "broker/broker", "broker/guard/guard", "broker/launcher/launcher", "broker/recorder/recorder", "broker/files/files", "inspector/inspector", "worker/worker",
    "policy/tool/verbs/sallyport-policy",
)
# The worker's messages are others, under the same names.
COMPILED_TWICE = {"ipc/codec.cpp"}
STARTER = "broker/sallyportd"
TOOL = "policy/tool/verbs/sallyport-policy"
BROKER = "broker/broker"
# What starts a process or a program, or connects to one.
STARTS = r"\b(_?_?(v?fork|clone\d?|exec\w*|fexecve)|posix_spawnp?|system|popen|connect|dlopen|pthread_create|thrd_create)@"
BROKER_LIBRARIES = {
    "libprotobuf-lite", "libseccomp", "libcap-ng", "libstdc++", "libgcc_s", "libm", "libc", "ld-linux-x86-64",
}
TEXT_PARSERS = r"boost::json|toml::|CLI::|google::protobuf::(Reflection|TextFormat|util::)|\bg_key_file|\bjson_"
FLAGS = ("-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection=full", "-ftrivial-auto-var-init=zero",
         "-D_FORTIFY_SOURCE=2", "-D_GLIBCXX_ASSERTIONS")


@functools.cache
def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def readelf(what, program):
    return output("readelf", "-W", what, str(BUILD / program))


def symbols(program, *more):
    dynamic = "NEEDED" in readelf("-d", program)
    names = output("nm", *more, str(BUILD / program))
    return names + (output("nm", "-D", *more, str(BUILD / program)) if dynamic else "")


def check_every_program_was_built():
    for program in PROGRAMS:
        if not (BUILD / program).exists():
            yield f"{program} is missing"


def built():
    return [p for p in PROGRAMS if (BUILD / p).exists()]


def check_programs_are_position_independent():
    for program in built():
        if not re.search(r"FLAGS_1\).*\bPIE\b", readelf("-d", program)):
            yield program


def check_programs_are_fully_relocated_read_only():
    for program in built():
        if "GNU_RELRO" not in readelf("-l", program) or not re.search(r"FLAGS_1\).*\bNOW\b", readelf("-d", program)):
            yield program


def check_programs_have_no_executable_stack_and_no_segment_both_writable_and_executable():
    for program in built():
        headers = readelf("-l", program)
        if not re.search(r"GNU_STACK(\s+0x\w+){5}\s+RW\s", headers):
            yield f"{program}: stack"
        for flags in re.findall(r"^\s+(?:LOAD|TLS|DYNAMIC)(?:\s+0x\w+){5}\s+([RWE ]{3})", headers, re.M):
            if "W" in flags and "E" in flags:
                yield f"{program}: a segment is {flags}"


def check_programs_check_their_stacks():
    for program in built():
        if "__stack_chk_fail" not in symbols(program):
            yield program


def check_the_broker_has_fortified_calls():
    """One is enough to see that the option arrived; not every program has a call that can be fortified."""
    if BROKER in built() and not re.search(r"__(?!stack)\w+_chk\b", symbols(BROKER)):
        yield BROKER


def check_objects_mark_branch_targets_and_shadow_stack():
    """The mark of a whole program says nothing: the linker drops it because the start files of Debian 12's C library
    have none."""
    for command in our_compilations():
        if (BUILD / command["output"]).exists():
            if not re.search(r"x86 feature:.*IBT, SHSTK", readelf("-n", command["output"])):
                yield command["output"]


def our_compilations():
    """What Meson compiles from the tree's own sources, generated code left out."""
    return [c for c in json.loads((BUILD / "compile_commands.json").read_text())
            if not source_of(c).is_relative_to(BUILD)]


def source_of(command):
    return (pathlib.Path(command["directory"]) / command["file"]).resolve()


def check_every_source_is_compiled_hardened_and_with_warnings_as_errors():
    for command in our_compilations():
        words = command["command"].split()
        missing = [flag for flag in (*FLAGS, "-Werror") if flag not in words]
        if missing or "-w" in words or not {"-fPIE", "-fPIC"} & set(words):
            yield f"{command['file']}: {' '.join(missing) or 'warnings off or not position independent'}"


def check_all_but_test_code_is_optimised():
    """Without that, _FORTIFY_SOURCE does nothing."""
    for command in json.loads((BUILD / "compile_commands.json").read_text()):
        words = command["command"].split()
        levels = [word for word in words if word.startswith("-O")]
        if not command["output"].startswith("tests/") and ("-O0" in levels or not levels or "-U_FORTIFY_SOURCE" in words):
            yield f"{command['output']}: {' '.join(levels)}"


def check_what_is_installed_is_what_this_file_reads():
    targets = json.loads(output("meson", "introspect", "--targets", str(BUILD)))
    installed = {str(pathlib.Path(target["filename"][0]).relative_to(BUILD))
                 for target in targets if target["installed"] and target["type"] == "executable"}
    yield from sorted(installed ^ set(PROGRAMS))


def check_no_source_is_compiled_twice():
    outputs = {}
    for command in our_compilations():
        outputs.setdefault(str(source_of(command).relative_to(tree.ROOT)), []).append(command["output"])
    for source, times in outputs.items():
        if len(times) > 1 and source not in COMPILED_TWICE:
            yield f"{source}: {' '.join(times)}"


def check_trusted_sources_are_compiled_without_exceptions_and_run_time_types():
    for command in our_compilations():
        # The worker and tests compile some trusted files once more, into programs that are not.
        is_copy = command["output"].startswith(("worker/", "tests/"))
        words = command["command"].split()
        if tree.is_trusted(source_of(command).relative_to(tree.ROOT)) and not is_copy:
            if not {"-fno-exceptions", "-fno-rtti"} <= set(words):
                yield command["file"]


def check_the_broker_links_only_named_libraries():
    if BROKER in built():
        for name in re.findall(r"NEEDED\).*\[(.+?)\.so", readelf("-d", BROKER)):
            if name not in BROKER_LIBRARIES:
                yield name


def check_the_broker_and_its_starter_link_no_text_parser():
    for program in {BROKER, STARTER} & set(built()):
        yield from sorted(set(re.findall(TEXT_PARSERS, symbols(program, "-C"))))


def check_only_the_policy_tool_links_the_analysis():
    with_it = [p for p in built() if "sallyport::policy::analyse::" in symbols(p, "-C")]
    yield from sorted(set(with_it) - {TOOL})


def check_the_broker_has_no_call_that_starts_or_connects():
    """The names that it takes from the C library; the starter's show that they are looked for in the right way."""
    if BROKER in built():
        yield from sorted(set(re.findall(r"\bU (.*)", "\n".join(line for line in symbols(BROKER, "-u").splitlines() if re.search(STARTS, line)))))
        found = {match[1] for match in re.finditer(STARTS, symbols(STARTER, "-u"))}
        yield from sorted({"fork", "connect"} - found)


def check_no_trusted_process_can_read_what_the_inspector_says():
    """Its replies are bytes to them: the code that would parse these is not there."""
    messages = re.findall(r"^message (\w+)", tree.text(pathlib.Path("schema/inspect.proto")), re.M)
    for program in built():
        found = set(re.findall(rf"sallyport::schema::({'|'.join(messages)})\b", symbols(program, "-C")))
        if program in ("inspector/inspector", "worker/worker"):
            if "Inspected" not in found:
                yield f"{program}: its names are not what is looked for"
        elif found:
            yield f"{program}: {' '.join(sorted(found))}"


def check_the_worker_needs_no_file_to_start():
    worker = "worker/worker"
    if worker in built() and ("NEEDED" in readelf("-d", worker) or "INTERP" in readelf("-l", worker)):
        yield "the worker is not a static program"
