"""Sizes. Going over a number is a change to the number in the same commit, with the reason."""
import re

import tree

# The budgets answer an auditor's questions: the folders that answer one, and their lines without tables (`clang-format off`). Generated code is not
# counted. The first plan had 3,800 lines for the first question and 700, 1,200, 800 and 400 for the hands; the reasons say what it did not foresee.
QUESTIONS = {
    # Nothing here has a right. serve/: each kind of request has an end of its own that waits for a hand without blocking (files 1,280, freezing 520,
    # programs 540, accounts 400, settings 350), the log with its rates and its losses 550. policy/: the decisions that broker and hands share, and
    # the check of what the compiler wrote; of two account rules that accept as much the same one counts in any order (10); hours of the week, by tables
    # that the compiler made (105); budgets of rules, reckoned, taken before anything is done and handed to the recorder (390). ipc/: a ring that lets a log line outlive whoever is killed, frames that can bring no descriptor. The broker talks to
    # the inspector's child itself, and has it begun and ended (250); the inspector became shorter by as much. base/: trusted paths, the clock by which
    # rules expire, secrets that are wiped; which drop-ins of the unit a policy needs, for starter and tool (90). Of each kind of request, what the rules that
    # dry-run would make of it, and its arguments where nobody else writes them down (300). Which files of a policy's folders are read, for starter and
    # tool; where each rule stands, for the log (85); budgets that a full disk cannot keep (10). What an older kernel lacks, named at the start (15). Parts of a transfer and open
    # files that are decided about anew; rules that are spent, for the clerk (90); hours of results of programs and
    # of dry runs (20).
    "What can a worker's frame reach?": (("base", "ipc", "policy", "broker", "broker/serve"), 10275),
    # Each open walks its path by hand and judges inodes on the way (deny rules, links, procfs, snapshots: 1,000); clerks that are left behind, children
    # that look at rules' paths at the start (560); what denied names have named in earlier runs (150); second names of what is in the agent's own folders (35);
    # what is denied before it is there, by any way to it (20).
    "What opens, reads and writes files?": (("broker/files",), 2725),
    # Freezing side by side, thaw by whoever is left when any of its processes dies, take-over of earlier freezes, trim; a walk to mount points that
    # asks no server (240). The plan is made by a child without capabilities, by freeze_plan/.
    "What freezes and thaws?": (("broker/guard",), 1900),
    "What reads mounts and disks for it, without a right?": (("broker/freeze_plan",), 435),
    # The check of each path's whole chain; orders that are decided once more; hooks.
    "What starts programs as root?": (("broker/launcher",), 860),
    # Both run as children of the launcher. A supervisor and the program's own process wait for the next order, so that a program starts as fast as
    # qemu-ga's (90); a control group for each program (120).
    "What watches a host's program?": (("broker/supervisor",), 822),
    "What changes passwords and keys?": (("broker/accounts",), 795),
    "What sets the clock, processors and memory blocks?": (("broker/setters",), 540),
    # Two processes that go on for each other are a third. What is taken of budgets is kept beside the latest time (110); both
    # are read again by whoever goes on (35).
    "What writes the log?": (("broker/recorder",), 925),
    # Options, state that is kept, what is handed over to the broker, a proof of each process, control groups (130), a unit that gives too little is
    # refused (35), time zones for the compiler (5), the files of the policy's folders, each judged and read (155), budgets over restarts and reboots (150),
    # the names of what the agent's own folders contain (60); budgets on a full disk (20), and on the disk before it serves (15);
    # what `apply` leaves, and a configuration that is not there yet (15).
    "What runs with privilege before the first host byte?": (("broker/start",), 2396),
    # A lockdown for each of fifteen kinds of process (480), the self-proof (220), filters that are compiled once by the parent (165), what
    # an older kernel's Landlock lacks (30); tables without the rows of other
    # architectures (25). The places that Landlock lets each process open, as a table that the policy tool prints, too (110, of which 25 were the
    # files hand's).
    "What confines?": (("sandbox",), 1935),
}
README_LINES = 150
# (trusted, elsewhere)
FILE_LINES = (400, 500)
FUNCTION_LINES = (40, 60)
NESTING = (3, 4)
PARAMETERS = (4, 5)


def without_tables(file):
    """Lines of a file that are not between `clang-format off` and `clang-format on`: tables may be long."""
    return len(re.sub(r"// clang-format off(.|\n)*?// clang-format on", "", tree.text(file)).splitlines())


def folder_of(file):
    """The folder of those that answer a question in which a trusted file lies; nothing if it is in none."""
    folders = [f for answering, _ in QUESTIONS.values() for f in answering if str(file).startswith(f + "/")]
    return max(folders, key=len, default=None)


def check_every_question_stays_within_its_budget():
    trusted = [f for f in tree.sources() if tree.is_trusted(f)]
    for question, (folders, most) in QUESTIONS.items():
        if (lines := sum(without_tables(f) for f in trusted if folder_of(f) in folders)) > most:
            yield f"{question} {lines} lines in {', '.join(folders)}, budget {most}"


def check_every_trusted_file_answers_a_question():
    for file in tree.sources():
        if tree.is_trusted(file) and folder_of(file) is None:
            yield f"{file}"


def check_readme_stays_within_150_lines():
    for file in tree.files():
        if file.name == "README.md" and tree.line_count(file) > README_LINES:
            yield f"{file} has {tree.line_count(file)} lines"


def check_files_stay_short():
    for file in tree.sources():
        most = FILE_LINES[not tree.is_trusted(file)]
        if (lines := without_tables(file)) > most:
            yield f"{file} has {lines} lines, most {most}"


class Function:
    def __init__(self, head, first_line):
        self.head = head
        self.first_line = first_line
        self.last_line = first_line
        self.nesting = 0

    def name(self):
        return re.search(r"([~\w:]+)\s*\(", self.head)[1]

    def parameter_count(self):
        inside = self.head[self.head.index("(") + 1:]
        depth, commas, given = 0, 0, False
        for char in re.sub(r"operator\s*\(\)", "", inside):
            if char in "(<[{":
                depth += 1
            elif char in ")>]}":
                depth -= 1
                if depth < 0:
                    break
            elif char == "," and depth == 0:
                commas += 1
            given = given or not char.isspace()
        return commas + given


def kind_of_block(head, inside_function):
    """What a `{` opens, from the text between it and the statement before."""
    head = re.sub(r"^\s*(public|private|protected):", "", head).strip()
    if inside_function:
        return "control" if re.match(r"(else\b|if\b|for\b|while\b|switch\b|do\b)", head) else "other"
    if re.match(r"(inline )?namespace\b|extern ", head):
        return "namespace"
    if re.match(r"(template\s*<.*>\s*)?(class|struct|union|enum)\b", head, re.S) and not head.endswith(")"):
        return "type"
    is_initializer = re.search(r"=\s*(\w|:|<|>)*$", head) or head.count("(") > head.count(")")
    return "function" if re.search(r"\w\s*\(", head) and not is_initializer else "other"


def functions(file):
    """The functions that are defined in a file, found by counting braces."""
    source = re.sub(r"^\s*#[^\n]*", "", tree.code(file), flags=re.M)
    blocks, found, line, head_start, parentheses = [], [], 1, 0, 0
    for at, char in enumerate(source):
        if char == "\n":
            line += 1
        if char == "{":
            head = source[head_start:at]
            inside = any(block[0] == "function" for block in blocks)
            kind = kind_of_block(head, inside)
            function = Function(head, line - head.lstrip().count("\n")) if kind == "function" else None
            blocks.append((kind, function, parentheses))
            parentheses = 0  # those of the block itself
            if inside:
                owner = next(block[1] for block in blocks if block[0] == "function")
                owner.nesting = max(owner.nesting, sum(block[0] == "control" for block in blocks))
        elif char == "}" and blocks:
            _, function, parentheses = blocks.pop()
            if function:
                function.last_line = line
                found.append(function)
        parentheses += (char == "(") - (char == ")")
        if char in "{}" or (char == ";" and parentheses == 0):
            head_start = at + 1
    return found


def each_function():
    for file in tree.sources():
        elsewhere = not tree.is_trusted(file)
        for function in functions(file):
            yield file, function, elsewhere


def check_functions_stay_short():
    for file, function, elsewhere in each_function():
        lines = function.last_line - function.first_line + 1
        # A straight-line confinement function is read from top to bottom, in one piece.
        if lines > FUNCTION_LINES[elsewhere] and not function.name().startswith("lockdown_"):
            yield f"{file}:{function.first_line}: {function.name()} has {lines} lines, most {FUNCTION_LINES[elsewhere]}"


def check_functions_nest_little():
    for file, function, elsewhere in each_function():
        if function.nesting > NESTING[elsewhere]:
            yield f"{file}:{function.first_line}: {function.name()} nests {function.nesting} deep"


def check_functions_take_few_parameters():
    for file, function, elsewhere in each_function():
        if (count := function.parameter_count()) > PARAMETERS[elsewhere]:
            yield f"{file}:{function.first_line}: {function.name()} takes {count} parameters"
