#!/usr/bin/env bash
# With a network and processes of its own: runs the program that was built for arm64 under qemu. Its folder is the
# argument.
set -euo pipefail
. tests/release/steps.sh
folder=$1

ringway() {
    qemu-aarch64-static "$folder/ringway" "$@"
}

qemu-aarch64-static "$folder/ringway" >"$folder/log" 2>&1 &
server=$!
wait_until ringway health
first_key
kill "$server"
wait "$server" || fail "it ended with $?: $(cat "$folder/log")"
ringway --version | grep '^build: release, aarch64-linux, static$' || fail "what the program says of itself: $(ringway --version)"
ringway check "$folder/config/minimal.yaml"
