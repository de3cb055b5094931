"""Processes as /proc lists them; for the test runner, the demo and the benchmark."""
import pathlib


def table():
    """(state, parent, session) by process id. A zombie is its parent's business and is left out."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if fields[0] not in "ZX":
                found[int(entry.name)] = (fields[0], int(fields[1]), int(fields[3]))
    return found


def below(pid):
    """The process and all that descend from it, parents first."""
    parents = {process: parent for process, (_, parent, _) in table().items()}
    found = [pid]
    for known in found:
        found += sorted(process for process, parent in parents.items() if parent == known)
    return found


def in_session(session):
    return [process for process, (_, _, own) in table().items() if own == session]
