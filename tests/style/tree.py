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


COMMENT_OR_LITERAL = re.compile(
    r'R"(\w*)\((?:.|\n)*?\)\1"|//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'')


def is_comment(match):
    return match[0].startswith("/")


@functools.cache
def code(file):
    """The text with comments and the insides of literals blanked; line numbers stay."""
    def blank(match):
        return ("" if is_comment(match) else '""') + "\n" * match[0].count("\n")
    return COMMENT_OR_LITERAL.sub(blank, text(file))


@functools.cache
def without_comments(file):
    """The text with comments blanked; line numbers stay."""
    return COMMENT_OR_LITERAL.sub(lambda m: "\n" * m[0].count("\n") if is_comment(m) else m[0], text(file))


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
