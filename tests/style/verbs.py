"""Whoever reads `./dev VERB` somewhere can type it, and whoever reads ./dev's own help finds every verb."""
import pathlib
import re

import tree

DEV = tree.text(pathlib.Path("dev"))


def verbs():
    """The verbs that the script takes, without those that only print the help."""
    table = re.search(r"^case \$verb in\n(.*?)^esac$", DEV, re.M | re.S)[1]
    found = [verb for row in re.findall(r"^    ([\w| -]+)\)", table, re.M) for verb in row.split(" | ")]
    return {verb for verb in found if not verb.startswith("-")}


def explained():
    usage = re.search(r"^usage: \./dev VERB\n\n(.*?)\n\n", DEV, re.M | re.S)[1]
    return set(re.findall(r"^  ([a-z-]+)\b", usage, re.M))


def check_every_verb_that_is_named_exists():
    # A longer word after ./dev is one of these files' own patterns.
    chosen = [f for f in tree.files() if f.suffix not in (".bin", ".png") and f.parts[:2] != ("tests", "style")]
    for file in chosen:
        for number, line in enumerate(tree.text(file).splitlines(), 1):
            for verb in re.findall(r"(?<![\w.])\./dev ([a-z]+(?:-[a-z]+)*)", line):
                if verb not in verbs():
                    yield f"{file}:{number}: ./dev has no verb {verb}"


def check_the_help_explains_every_verb_and_no_other():
    yield from sorted(explained() ^ (verbs() - {"help"}))
