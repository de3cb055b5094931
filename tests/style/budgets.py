"""Sizes. Going over a number is a change to the number in the same commit, with the reason."""
import re

import tree

# The plan was 2,000 and 700 lines for broker/ and sandbox/, with 5,000 in all. What it did not foresee: the self-proof
# (340 lines), options read by the sandboxed tool in place of getopt in the broker, links judged twice, and a worker
# that is followed by another on the same connection. policy/ is the decision, not the compiler.
# guard/ has 1,600 lines where 600 were planned: a plan from the graph of block devices, freezing side by side (which made
# the stall a tenth of what it was), thaw by whoever is left when any of
# its processes dies, and trimming; its states are a table (75 lines of it the rows and their reasons). The
# planning is freeze_plan/, and without a capability; 220 lines of guard/ start it, check what it says and look at what is there before they open
# it, and 40 of sandbox/ confine it. launcher/ has 560 where 350 were: the check of each path's whole chain, and hooks. The
# broker's part of both is 1,250 lines: strategies, answers that come later, the log that waits in memory.
# The inspector took 300 of broker/ (queries, one more process to start and prove), 140 of sandbox/
# (its lockdown and its table; 21 more for a lockdown of its children, which keeps them from starting processes), 30 of policy/. It filters what
# the host sees of a reply itself, and to the broker a reply is bytes: 130 lines and 30,000 generated ones that trusted processes do without.
# ipc/ has two ways of passing a frame: one that can bring no descriptor, for everybody, and one that can, from the broker to
# the nursery (70 lines); that is what keeps a descriptor from outliving a worker.
# Starts that say what is at fault took 35 lines of broker/, the clock by which rules expire (and what keeps it) 140.
# broker/files/ took 325 lines from broker/. It has 700 more than these were: what is denied is a thing and not a name, so the way
# up from each file is walked; links are followed by hand, so that nothing is looked at that no rule covers; procfs is judged by inode.
# A denied path is looked up one name at a time (180), so that no server is asked with which the file has nothing to do.
# A start that nobody's dead server holds up: children that look at paths and can be left behind (200 of files/, 60 of broker/).
# recorder/ took the log's chain and file out of broker/, which has instead: what to do when a line cannot be recorded, a power
# order that waits for the disk, rates, the journal's selection (240 lines). The ring in ipc/ (200) is what lets a line outlive
# whoever is killed; two processes that go on for each other are a third of recorder/. A file that is removed under it, a lock that no
# local user can hold, and lines that are let go so that the next agent starts, took 40 more; that the broker hears it a bit at a time 5;
# a log that is waited for, so that an agent starts on a full disk, 20.
# The files hand: no disk, server or lock of a local user holds up the broker, which has no capability and opens nothing. files/ took the
# parent, the clerks and their start (620 lines, 60 of them needs.* from table.*); broker/ its end of it: clerks and deadlines (310), requests
# that wait for a clerk (290, and 15 so that what was given up touches neither arena nor file any more), what can be done with an open file without waiting (110), one more process to start and prove. The time by which rules
# expire is in base/ (70), and is kept by the recorder (60). sandbox/ has one more lockdown, of two kinds of process, and their table (130).
# Programs that a host names (guest-exec) took: 300 of policy/, the decision, which broker and launcher share, and the check of what the compiler
# wrote; 270 of launcher/, orders in parts, the same decision, supervisors; supervisor/, a process for each program, which keeps its output, kills
# what it leaves behind and takes its user and bounds; 575 of broker/, two answers, and the programs that run or wait to be asked for; 60 of
# sandbox/, the confinement of supervisor and program; 20 of ipc/, bounds.
# That a program starts as fast as qemu-ga's took 45 of launcher/ and 90 of supervisor/: a supervisor and the program's own process wait for the next order;
# and 30 of broker/: a question for the end waits for it. Control groups, of which each program has one: 130 of start/, 120 of supervisor/, 15 of broker/.
# What a host sets (the clock, processors, memory blocks) took: setters/, its own process for each order and the launcher's end of it; 190 of policy/, the
# decision, which broker, launcher and setter share, and the check of what the compiler wrote; 350 of broker/, three answers and the launcher's report; 25 of
# launcher/; 40 of sandbox/, the setter's lockdown, and its table.
# start/ runs with privilege and hears no host; broker/ hears the worker and holds no right. That they are two programs took 290 lines:
# what is handed over, on both sides, the table of processes, two mains. The calls that start and connect are gone from the broker for them.
# What an attack from outside took: files/ 700, children that look at the rules' paths when the agent starts, so that none of them holds that up
# (260), denied things that are looked up name by name and on the way of the found file only (200), that keep their numbers where their file
# system would not (80), snapshots, the terms behind a link; guard/ 240, a walk to a mount point that asks no server, plans that are made anew, a
# planner that is killed, what the kernel does not let go of; freeze_plan/ 50, what other mounts cover; base/ 40, locks that are closed to others
# first; files/ 150, what denied names have named in earlier runs; policy/ 40, what a deny rule takes away for ever; broker/ 160, deadlines of the guard's answers, terms of a grant.
# Passwords and keys of users: 260 of policy/, the decision, which broker and launcher share; accounts/ 790, a child that is the user, what it does
# below a home directory, chpasswd, and who a user is; 400 of broker/, four answers and what waits for them; 90 of base/ and elsewhere, secrets that
# are wiped; 40 of launcher/ and start/.
FOLDER_LINES = {"base": 530, "broker/freeze_plan": 435, "broker/guard": 1960, "broker/accounts": 800, "broker/launcher": 835, "broker/supervisor": 520, "broker/files": 2665,
                "broker/recorder": 770, "broker/start": 1790, "broker": 320, "broker/serve": 5340, "sandbox": 1860, "ipc": 725, "policy": 1360}
TRUSTED_LINES = sum(FOLDER_LINES.values())
README_LINES = 150
# (trusted, elsewhere)
FILE_LINES = (400, 500)
FUNCTION_LINES = (40, 60)
NESTING = (3, 4)
PARAMETERS = (4, 5)


def trusted_lines(folder=None):
    """Of a folder less those of its own that have a budget, or of all."""
    def owner(file):
        return max((f for f in FOLDER_LINES if str(file).startswith(f + "/")), key=len)
    return sum(tree.line_count(f) for f in tree.sources() if tree.is_trusted(f) and folder in (None, owner(f)))


def check_folders_stay_within_their_budgets():
    for folder, most in FOLDER_LINES.items():
        if (lines := trusted_lines(folder)) > most:
            yield f"{folder}/ has {lines} lines, budget {most}"


def check_trusted_code_stays_within_its_budget():
    if (lines := trusted_lines()) > TRUSTED_LINES:
        yield f"trusted code has {lines} lines"


def check_readme_stays_within_150_lines():
    for file in tree.files():
        if file.name == "README.md" and tree.line_count(file) > README_LINES:
            yield f"{file} has {tree.line_count(file)} lines"


def without_tables(file):
    """Lines of a file that are not between `clang-format off` and `clang-format on`: tables may be long."""
    return len(re.sub(r"// clang-format off(.|\n)*?// clang-format on", "", tree.text(file)).splitlines())


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
    return "function" if re.search(r"\w\s*\(", head) and not re.search(r"=\s*(\w|:|<|>)*$", head) else "other"


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
