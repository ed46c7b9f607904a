# shellcheck shell=bash
# What the tests of all ways to install share, to be sourced.

fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}

# Waits until a command succeeds: ten seconds at most.
wait_until() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    fail "not in ten seconds: $*"
}

# Whether a process is gone.
is_gone() {
    ! kill -0 "$1"
}

# Sends what README.md sends first, and fails unless the value comes back.
first_key() {
    local client answer
    exec {client}<>/dev/tcp/127.0.0.1/11211
    printf 'set greeting 0 0 5\r\nhello\r\nget greeting\r\nquit\r\n' >&"$client"
    answer=$(cat <&"$client")
    exec {client}>&-
    [ "$answer" = $'STORED\r\nVALUE greeting 0 5\r\nhello\r\nEND\r' ] || fail "set and get are answered: $answer"
}

# Writes into the file named second how long the way named first took, which began at $begun, an EPOCHREALTIME.
took() {
    printf '%-16s%6d ms\n' "$1" $(((${EPOCHREALTIME//[.,]/} - ${begun//[.,]/}) / 1000)) >"$2"
}
