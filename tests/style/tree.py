"""What is in the tree: files by folder, and C++ text with comments and strings taken out."""
import functools
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LEFT_OUT = {".git", "build", "__pycache__"}
CPP = (".cpp", ".hpp")


@functools.cache
def files():
    """Every file of the project, as paths relative to its top."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in LEFT_OUT]
        found += [pathlib.Path(folder, name).relative_to(ROOT) for name in names if name != ".git"]
    return sorted(found)


def sources(*tops):
    """C++ files below the folders named, or all of them."""
    return [f for f in files() if f.suffix in CPP and (not tops or f.parts[0] in tops)]


def is_trusted(file):
    if file.parts[0] == "policy":
        return len(file.parts) == 2
    return file.parts[0] in ("base", "broker", "ipc", "sandbox")


@functools.cache
def text(file):
    return (ROOT / file).read_text(encoding="utf-8", errors="replace")


@functools.cache
def code(file):
    """The text with comments and the insides of literals blanked; line numbers stay."""
    pattern = r'R"(\w*)\((?:.|\n)*?\)\1"|//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\''

    def blank(match):
        kept = "" if match[0][0] == "/" else '""'
        return kept + "\n" * match[0].count("\n")

    return re.sub(pattern, blank, text(file))


def line_count(file):
    return text(file).count("\n")


def matches(pattern, chosen, text_of=code):
    """FILE:LINE: what was found, for each line that the pattern matches."""
    expression = re.compile(pattern)
    found = []
    for file in chosen:
        for number, line in enumerate(text_of(file).splitlines(), 1):
            if match := expression.search(line):
                found.append(f"{file}:{number}: {match[0].strip()}")
    return found
