"""What the pages say of the tests: each test that one names exists."""
import fnmatch
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


def tests():
    return [f for f in tree.sources("tests") if f.name.endswith("_test.cpp")]


def names_of_cases():
    """Suites, cases, and both with a dot."""
    found = set()
    for file in tests():
        for suite, case in TEST.findall(tree.without_comments(file)):
            found |= {suite, case, f"{suite}.{case}"}
        for prefix, suite in SUITE.findall(tree.without_comments(file)):
            found |= {suite, f"{prefix}/{suite}"}
        found |= set(INSTANCE.findall(tree.without_comments(file)))
    return found


def check_tests_that_a_page_names_exist():
    programs = {f.stem for f in tests()}
    cases = names_of_cases()
    for page in PAGES:
        for number, line in enumerate(tree.text(page).splitlines(), 1):
            for name in re.findall(r"`([^`]+)`", line):
                program = PROGRAM.search(name)
                if program and " " not in name.removeprefix("e2e ") and program[1] not in programs:
                    yield f"{page}:{number}: no test program is called {name}"
                if CASE.match(name) and (page == THREAT_MODEL or "_test" in line) and not fnmatch.filter(cases, name.replace("...", "*").rstrip(".")):
                    yield f"{page}:{number}: no test is called {name}"
