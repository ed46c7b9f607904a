#!/usr/bin/env bash
# With a network, mounts and processes of its own: reads the image with skopeo, unpacks it with umoci, and runs it as a
# container engine would, as its user and on a read-only root.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/release/steps.sh

archive=$1
work=$2
root="$work/bundle/rootfs"

main() {
    look
    begun=$EPOCHREALTIME
    unpack
    ! "${inside[@]}" "${health[@]}" 2>/dev/null || fail "it is healthy before it runs"
    "${inside[@]}" "${command[@]}" 2>"$work/log" &
    server=$!
    wait_until "${inside[@]}" "${health[@]}"
    first_key
    took "image" "$work/time"
    [ "$(awk '/^Uid:/ {print $2, $3, $4, $5}' "$root/proc/$server/status")" = "$user $user $user $user" ] ||
        fail "it runs as another user"
    kill "$server"
    wait "$server" || fail "it ended with $?: $(cat "$work/log")"
}

look() {
    local platforms size
    platforms=$(skopeo inspect --raw "oci-archive:$archive" | jq -r '.manifests[].platform | "\(.os)/\(.architecture)"')
    echo "platforms: ${platforms//$'\n'/, }"
    [[ $platforms == *linux/$(dpkg --print-architecture)* ]] || fail "no image for this machine"
    size=$(stat --format=%s "$archive")
    [ "$size" -lt $(($(wc -l <<<"$platforms") * (12 << 20))) ] || fail "the image has $size bytes"
}

# Unpacks the image of this machine, and mounts what an engine mounts: a read-only root, /proc and the configuration.
unpack() {
    skopeo --insecure-policy copy --quiet "oci-archive:$archive" "oci:$work/oci:ringway"
    umoci unpack --image "$work/oci:ringway" "$work/bundle"
    skopeo inspect --raw --config "oci:$work/oci:ringway" >"$work/config.json"
    mapfile -t command < <(jq -r '.config | (.Entrypoint + .Cmd)[]' "$work/config.json")
    mapfile -t health < <(jq -r '.config.Healthcheck.Test[1:][]' "$work/config.json")
    user=$(jq -r '.config.User | split(":")[0]' "$work/config.json")
    [ "$user" -gt 0 ] || fail "it runs as root"
    mapfile -t environment < <(jq -r '.config.Env[]' "$work/config.json")
    inside=(env --ignore-environment "${environment[@]}" "$(type -P chroot)" --userspec="$user:$user" --groups= "$root")
    mkdir "$work/config" "$root/proc"
    # A hand-over needs a folder that can be written.
    sed '/^takeover:/d' deploy/debian/ringway.yaml >"$work/config/ringway.yaml"
    mount --bind "$root" "$root"
    mount --options remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    mount --bind --options ro "$work/config" "$root/etc/ringway"
    [ -s "$root/etc/ssl/certs/ca-certificates.crt" ] || fail "no certificates in the image"
    ! touch "$root/run/ringway/file" 2>/dev/null || fail "the root can be written"
}

main
