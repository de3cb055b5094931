"""QEMU's own control channel: commands, and the events that prove what became of the guest."""
import json
import queue
import socket
import threading
import time


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.events = []
        self.changed = threading.Condition()
        self.replies = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.replies.get(timeout=30)  # the greeting
        self.ask("qmp_capabilities")

    def _read(self):
        try:
            for line in self.socket.makefile():
                message = json.loads(line)
                if "event" not in message:
                    self.replies.put(message)
                    continue
                with self.changed:
                    self.events.append(message)
                    self.changed.notify_all()
        except OSError:
            pass  # QEMU has ended

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        reply = self.replies.get(timeout=30)
        if "return" not in reply and "QMP" not in reply:
            raise AssertionError(f"QMP {command}: {reply}")
        return reply.get("return")

    def wait_for(self, name, patience=120):
        """The first event of that name that was not waited for yet."""
        end = time.monotonic() + patience
        with self.changed:
            while True:
                for at, event in enumerate(self.events):
                    if event["event"] == name:
                        return self.events.pop(at)
                if not self.changed.wait(end - time.monotonic()):
                    seen = [event["event"] for event in self.events]
                    raise AssertionError(f"no QMP event {name} in {patience} s; there were {seen}")

    def wait_until(self, query, status, patience=300):
        """Until a query gives that status."""
        end = time.monotonic() + patience
        while (said := self.ask(query)).get("status") != status:
            assert said.get("status") != "failed" and time.monotonic() < end, f"{query}: {said}"
            time.sleep(0.1)

    def has_seen(self, name):
        with self.changed:
            return any(event["event"] == name for event in self.events)

    def close(self):
        self.socket.close()
