#!/bin/sh
# Generates the code of one .proto for protobuf-lite, made strict: a field that the schema does not name fails to parse.
#
# protobuf keeps such fields and writes them out again, so that comparing a frame with its own re-encoding does not show
# them. The parser has one place for them in each message; here that place becomes a failure.
#
# usage: strict_lite.sh PROTOC SOURCE_ROOT BUILD_ROOT FILE.proto
set -eu
"$1" --proto_path="$2" --cpp_out="lite:$3" "$4"
code="$3/${4%.proto}.pb.cc"
sed -z -i 's/ptr = UnknownFieldParse([^;]*;/ptr = nullptr;/g' "$code"
if grep -q UnknownFieldParse "$code" || ! grep -q 'ptr = nullptr;' "$code"; then
    echo "strict_lite.sh: this protoc writes its parsers in another way" >&2
    exit 1
fi
