"""What the pages say of the tests: each test that one names exists, and a case in the program beside which it is named."""
import fnmatch
import functools
import pathlib
import re

import tree

THREAT_MODEL = pathlib.Path("docs/threat-model.md")
PAGES = [f for f in tree.files() if f.suffix == ".md"]
# A name as the pages write it: `name_test`, or what a case is called, `Suite.Case`, `CaseWithSeveralWords`; `...` stands for the rest.
PROGRAM = re.compile(r"\b([a-z]+(?:_[a-z]+)*_test)$")
CASE = re.compile(r"^(?:[A-Z]\w*[./])*[A-Z][a-z][\w.]*$")
TEST = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", re.M)
SUITE = re.compile(r"INSTANTIATE_TEST_SUITE_P\(\s*(\w*),\s*(\w+),", re.M)
INSTANCE = re.compile(r'\b(?:Case|Row|Subject|\w*)\{"(\w+)"')


WORDS = re.compile(r"[a-z0-9]+(?:[ /_][a-z0-9]+)*$")


def tests():
    return [f for f in tree.sources("tests") if f.name.endswith("_test.cpp")]


@functools.cache
def names_in(file):
    """Suites, cases, and both with a dot."""
    text, found = tree.without_comments(file), set()
    for suite, case in TEST.findall(text):
        found |= {suite, case, f"{suite}.{case}"}
    for prefix, suite in SUITE.findall(text):
        found |= {suite, f"{prefix}/{suite}"}
    return found | set(INSTANCE.findall(text))


def files_meant(name):
    """The files of a test program, as the pages call it: `open_test`, `unit/files open_test`, `files hanging`, `unit base`, a path."""
    path = pathlib.PurePath(name)
    if path.suffix == ".cpp":
        return [f for f in tests() if f == pathlib.Path(name)]
    if not WORDS.match(name) or not (name.endswith("_test") or " " in name):
        return []
    words = re.split("[ /_]", name.removesuffix("_test"))
    meant = []
    for file in tests():
        folders, stem = list(file.parent.parts[1:]), file.stem.removesuffix("_test").split("_")
        rest = words[:-len(stem)]
        if (" " in name and folders == words) or (words[-len(stem):] == stem and [f for f in folders if f in rest] == rest):
            meant.append(file)
    return meant


def pieces(page):
    """(number of the first line, text) of each row of a table and each paragraph, in which a case belongs to the program before it."""
    first, lines = 1, []
    for number, line in enumerate([*tree.text(page).splitlines(), ""], 1):
        if lines and (line.startswith(("|", "* ", "#")) or not line.strip()):
            yield first, "\n".join(lines)
            lines = []
        first = first if lines else number
        if line.strip():
            lines.append(line)


def is_case(name, names):
    return bool(fnmatch.filter(names, name.replace("...", "*").rstrip(".")))


def check_tests_that_a_page_names_exist():
    programs = {f.stem for f in tests()}
    cases = set().union(*map(names_in, tests()))
    for page in PAGES:
        for number, line in enumerate(tree.text(page).splitlines(), 1):
            for name in re.findall(r"`([^`]+)`", line):
                program = PROGRAM.search(name)
                if program and " " not in name.removeprefix("e2e ") and program[1] not in programs:
                    yield f"{page}:{number}: no test program is called {name}"
                if CASE.match(name) and (page == THREAT_MODEL or "_test" in line) and not is_case(name, cases):
                    yield f"{page}:{number}: no test is called {name}"


def check_cases_stand_in_the_program_that_a_page_names_before_them():
    everything = set().union(*map(names_in, tests()))
    for page in PAGES:
        for number, text in pieces(page):
            program, meant = "", []
            for name in re.findall(r"`([^`]+)`", text):
                if files := files_meant(name):
                    program, meant = name, files
                elif not CASE.match(name) or not is_case(name, everything):
                    continue
                elif not meant and page == THREAT_MODEL:
                    yield f"{page}:{number}: no program is named beside {name}"
                elif meant and not any(is_case(name, names_in(f)) for f in meant):
                    yield f"{page}:{number}: {name} does not stand in {program}"
