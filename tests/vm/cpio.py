"""A new initramfs, written without a program for it: the kernel's "newc" archives, one after the other."""
import os
import stat


class Archive:
    def __init__(self):
        self.parts = []
        self.number = 0
        self.made = set()

    def _add(self, name, mode, data=b"", device=(0, 0)):
        self.number += 1
        fields = [self.number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        for part in (head, data):
            self.parts.append(part + b"\0" * (-len(part) % 4))

    def folder(self, path):
        path = path.strip("/")
        if path and path not in self.made:
            self.folder(os.path.dirname(path))
            self.made.add(path)
            self._add(path, stat.S_IFDIR | 0o755)

    def text(self, path, data, mode=0o644):
        self.folder(os.path.dirname(path))
        self._add(path.strip("/"), stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def link(self, path, target):
        self.folder(os.path.dirname(path))
        self._add(path.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def file(self, source, path):
        with open(source, "rb") as opened:
            self.text(path, opened.read(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def bytes(self):
        tail = Archive()
        tail._add("TRAILER!!!", 0)
        return b"".join(self.parts + tail.parts)
