#!/usr/bin/env bash
# libmemcached's command line tools behind the words of loop.py; each call is a process of its own:
#
#     libmemcached_tools.sh NAME HOST PORT PROTOCOL
set -uo pipefail

host=$2 port=$3
options=()
[ "$4" = text ] || options=(--binary)
# A tool stores a file under its name.
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
cd "$directory"

main() {
    local command keys
    echo "ready $(memccat --version | sed -n 's/.*(libmemcached v\(.*\)).*/\1/p') get,multi,set,add,replace,delete,touch,flush"
    while read -r command keys; do
        # shellcheck disable=SC2086 # several keys
        told "$command" $keys
    done
}

told() {
    local command=$1
    shift
    case $command in
        open)
            port=${1:-$port}
            echo ok
            ;;
        get) call memccat "$1" && echo "value $said" || miss_or "$1" ;;
        # It fails if one of them is missing, and prints those it found all the same.
        multi)
            call memccat "$@"
            echo "values $(paste -sd, <<<"$said")"
            ;;
        set) store "$1" --set ;;
        add) store "$1" --add ;;
        replace) store "$1" --replace ;;
        delete) call memcrm "$1" && echo true || false_or ;;
        touch) call memctouch --expire=100 "$1" && echo true || false_or ;;
        flush) call memcflush && echo true || false_or ;;
    esac
}

store() {
    printf 1 >"$1"
    call memccp "$2" "$1" && echo true || false_or
    rm "$1"
}

# Sets $said to what the tool prints, and $complaint to its errors.
call() {
    local tool=$1 code
    shift
    said=$("$tool" --servers "$host:$port" "${options[@]}" "$@" 2>"$directory/.stderr") && code=0 || code=$?
    complaint=$(tr -s '[:space:]' ' ' <"$directory/.stderr")
    return "$code"
}

miss_or() {
    [[ -n "$complaint" && "$complaint" != *"NOT FOUND"* ]] && echo "raised error: ${complaint:0:100}" || echo miss
}

false_or() {
    case $complaint in
        *"NOT FOUND"* | *"NOT STORED"* | *"DATA EXISTS"* | "") echo false ;;
        *) echo "raised error: ${complaint:0:100}" ;;
    esac
}

main
