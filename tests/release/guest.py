#!/usr/bin/python3
"""Plays cases in a guest that the packages of a folder are installed in; the last line is the count.

usage: guest.py STORE PACKAGES SUITE [KERNEL]     as root; STORE keeps the guest's disk

The guest is Debian SUITE, and the cases those of cases/; with KERNEL, another suite whose kernel it has, those of old_kernel/.
"""
import pathlib
import sys

from packaged import HERE, PackagedImages

from channel import Channel
from guest import Guest
from run import load, play

# In seconds. Everything that is waited for comes by itself, and QEMU's end ends each wait; on a machine with other work what apt does takes long.
LAST_RESORT = 7200


def main():
    Channel.patience = LAST_RESORT
    store, packages, suite, *kernel = sys.argv[1:]
    store = pathlib.Path(store)
    store.mkdir(parents=True, exist_ok=True)
    found = [p for p in pathlib.Path(packages).glob("sallyport*.deb") if "-dbgsym_" not in p.name]
    images = PackagedImages(store, found, suite, *kernel)
    images.make()
    cases = sorted((HERE / ("old_kernel" if kernel else "cases")).glob("*.py"))
    results = [play(images, case.stem, load(case), Guest) for case in cases]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
