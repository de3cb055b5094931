#!/usr/bin/python3
"""Plays the cases of this folder in a guest that the packages of a folder are installed in; the last line is the count.

usage: guest.py STORE PACKAGES SUITE     as root; STORE keeps the guest's disk
"""
import pathlib
import sys

from packaged import HERE, PackagedImages

from guest import Guest
from run import load, play


def main():
    store, packages, suite = sys.argv[1:]
    store = pathlib.Path(store)
    store.mkdir(parents=True, exist_ok=True)
    found = [p for p in pathlib.Path(packages).glob("sallyport*.deb") if "-dbgsym_" not in p.name]
    images = PackagedImages(store, found, suite)
    images.make()
    results = [play(images, case.stem, load(case), Guest) for case in sorted((HERE / "cases").glob("*.py"))]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
