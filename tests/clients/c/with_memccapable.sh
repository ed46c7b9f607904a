#!/usr/bin/env bash
# libmemcached's own test of servers, memccapable, in the text or the binary protocol:
#
#     with_memccapable.sh 127.0.0.1 11211 text
#
# It prints `version` and the library's, then `ok` and a name for each of its tests that passed.
set -euo pipefail

protocol=-a
[ "$3" = text ] || protocol=-b
memccat --version | sed -n 's/.*(libmemcached v\(.*\)).*/version \1/p'
result=0
output=$(memccapable -h "$1" -p "$2" -t 10 "$protocol" 2>&1) || result=$?
sed -n 's/^\(ascii\|binary\) \(.*[^ ]\) *\[pass\]$/ok \2/p' <<<"$output"
if [ "$result" -ne 0 ] || ! grep -q '^All tests passed$' <<<"$output"; then
    grep -av '\[pass\]$' <<<"$output" | head -c 1000 >&2
    exit 1
fi
