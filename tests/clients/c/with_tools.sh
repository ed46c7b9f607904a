#!/usr/bin/env bash
# libmemcached's command line tools, in its text or its binary protocol:
#
#     with_tools.sh 127.0.0.1 11211 text
#
# It prints `version` and the library's, then `ok` and a name for each step that held.
set -euo pipefail

server=$1:$2
options=(--servers "$server")
[ "$3" = text ] || options+=(--binary)
# A tool takes the name of a file as the key.
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cd "$directory"
prefix=ringway-$$-$RANDOM

main() {
    memccat --version | sed -n 's/.*(libmemcached v\(.*\)).*/version \1/p'
    values
    many
    conditions
    deletion
    ends
    server
}

values() {
    { printf '%b' "$(printf '\\%03o' {0..255})"; printf '\r\nEND\r\nVALUE x 0 1\r\n'; } >"$prefix-bytes"
    head -c 921600 /dev/urandom >"$prefix-large"
    local name
    for name in bytes large; do
        run memccp "${options[@]}" "$prefix-$name"
        run memccat "${options[@]}" --file="$name.got" "$prefix-$name"
        cmp "$name.got" "$prefix-$name" || fail "memccat of $name differs"
    done
    fails memccat "${options[@]}" "$prefix-nothing"
    tried set get binary-safe "900 KB"
}

many() {
    local names=() number
    for number in {1..40}; do
        names+=("$prefix-many-$number")
        printf 'value %d' "$number" >"$prefix-many-$number"
    done
    run memccp "${options[@]}" "${names[@]}"
    [ "$(memccat "${options[@]}" "${names[@]}")" = "$(printf 'value %d\n' {1..40})" ] || fail "memccat of many differs"
    tried "many gets"
}

conditions() {
    printf 'one' >"$prefix-condition"
    fails memccp "${options[@]}" --replace "$prefix-condition"
    run memccp "${options[@]}" --add "$prefix-condition"
    fails memccp "${options[@]}" --add "$prefix-condition"
    run memccp "${options[@]}" --replace "$prefix-condition"
    tried add replace
}

deletion() {
    run memcexist "${options[@]}" "$prefix-condition"
    run memcrm "${options[@]}" "$prefix-condition"
    fails memcexist "${options[@]}" "$prefix-condition"
    fails memcrm "${options[@]}" "$prefix-condition"
    tried exist delete
}

# Keys that end after a second, that are told to, and that were to end and are told to stay.
ends() {
    local name
    for name in stays gone shortened last; do
        printf 'v' >"$prefix-$name"
    done
    run memccp "${options[@]}" --expire=3 "$prefix-stays"
    run memccp "${options[@]}" --expire=1 "$prefix-gone"
    run memccp "${options[@]}" "$prefix-shortened"
    run memctouch "${options[@]}" --expire=100 "$prefix-stays"
    run memctouch "${options[@]}" --expire=1 "$prefix-shortened"
    fails memctouch "${options[@]}" --expire=1 "$prefix-nothing"
    run memccp "${options[@]}" --expire=3 "$prefix-last"
    vanishes gone
    tried expire
    vanishes shortened
    vanishes last
    [ "$(memccat "${options[@]}" "$prefix-stays")" = v ] || fail "what was touched to stay is gone"
    tried touch
}

server() {
    run memcping --servers "$server"
    memcstat --servers "$server" 2>&1 | grep -q 'pid:' || fail "memcstat shows no pid"
    run memcflush "${options[@]}"
    fails memccat "${options[@]}" "$prefix-bytes"
    tried stats flush
}

vanishes() {
    local end=$((SECONDS + 10))
    while memccat "${options[@]}" "$prefix-$1" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$1: still there after 10 s"
        sleep 0.1
    done
}

run() {
    local output
    output=$("$@" 2>&1) || fail "$*: $output"
}

fails() {
    ! "$@" >/dev/null 2>&1 || fail "$*: succeeded"
}

tried() {
    printf 'ok %s\n' "$@"
}

fail() {
    printf 'libmemcached tools: %s\n' "$*" | head -c 500 >&2
    exit 1
}

main
