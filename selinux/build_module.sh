#!/bin/sh
# Compiles the policy module with Debian's headers, away from the sources: their Makefile writes where it runs.
# usage: build_module.sh MAKEFILE FOLDER MODULE.pp MODULE.te MODULE.fc MODULE.if
set -eu
makefile=$1 folder=$2 module=$3
shift 3
rm -rf "$folder"
mkdir -p "$folder"
cp "$@" "$folder"
make -s -C "$folder" -f "$makefile" NAME=default sallyport.pp > /dev/null
mv "$folder/sallyport.pp" "$module"
