#!/usr/bin/env bash
# In a fresh Debian: installs the package, starts what it installed as its unit does (no systemd runs here), upgrades it
# under a connected client, removes and purges it.
set -euo pipefail
. ./steps.sh

package=$1
config=/etc/ringway/ringway.yaml
units=/usr/lib/systemd/system

main() {
    files >before
    begun=$EPOCHREALTIME
    install_package "./dist/$package"
    start
    first_key
    took "Debian package" time
    look
    upgrade
    leave
}

install_package() {
    apt-get -qq install --yes "$1" >apt.log 2>&1 || fail "apt-get: $(cat apt.log)"
}

# Lists every file but those that change with any package: logs, caches, what dpkg and apt remember, copies of passwd.
files() {
    find / -xdev \( -path /work -o -path /tmp -o -path /run -o -path /var/log -o -path /var/cache -o -path /var/lib/apt \
        -o -path /var/lib/dpkg \) -prune -o ! -name 'passwd-' ! -name 'group-' ! -name 'shadow-' ! -name 'gshadow-' \
        ! -name '.pwd.lock' -print | sort
}

start() {
    local command
    read -ra command < <(sed -n 's/^ExecStart=//p' "$units/ringway.service")
    # RuntimeDirectory= of the unit.
    install -d -o ringway -g ringway /run/ringway
    setpriv --reuid=ringway --regid=ringway --clear-groups "${command[@]}" 2>log &
    server=$!
    wait_until ringway health
}

look() {
    local said
    said=$(systemd-analyze verify "$units/ringway.service" "$units/ringway.socket" 2>&1) || fail "systemd-analyze: $said"
    [ -z "$said" ] || fail "systemd-analyze: $said"
    ringway check "$config"
    said=$(dpkg --verify ringway)
    [ -z "$said" ] || fail "files are not those of the package: $said"
    [ -e /etc/systemd/system/multi-user.target.wants/ringway.service ] || fail "the service is not enabled"
    [ ! -e /etc/systemd/system/sockets.target.wants/ringway.socket ] || fail "the socket is enabled"
    [ "$(dpkg-query --show --showformat='${Conffiles}' ringway | awk '{print $1}' | xargs)" = "$config" ] ||
        fail "the configuration is no conffile"
    for file in man/man1/ringway.1.gz man/man5/ringway.yaml.5.gz bash-completion/completions/ringway doc/ringway/copyright; do
        [ -s "/usr/share/$file" ] || fail "no /usr/share/$file"
    done
}

# Installs the same package with a higher version, and does what its postinst asks of systemd.
upgrade() {
    local client answer
    echo '# A line of the administrator.' >>"$config"
    dpkg-deb --raw-extract "dist/$package" next
    sed -i 's/^\(Version: .*\)-1$/\1-2/' next/DEBIAN/control
    dpkg-deb --build next next.deb >/dev/null
    exec {client}<>/dev/tcp/127.0.0.1/11211
    install_package ./next.deb
    [[ $(dpkg-query --show --showformat='${Version}' ringway) == *-2 ]] || fail "the upgrade is not installed"
    tail -1 "$config" | grep -q administrator || fail "the upgrade changed the configuration"

    kill -USR2 "$server"
    wait "$server" || fail "the old process ended with $?: $(cat log)"
    printf 'version\r\nquit\r\n' >&"$client"
    answer=$(cat <&"$client")
    [[ $answer == VERSION* ]] || fail "a client that was there before the upgrade hears '$answer': $(cat log)"
    server=$(pidof ringway)
    [ "$(readlink "/proc/$server/exe")" = /usr/bin/ringway ] || fail "the program that runs is not the new one"
    [ "$(stat --format=%U "/proc/$server")" = ringway ] || fail "the new process is another user's"
    first_key
}

leave() {
    kill "$server"
    wait_until is_gone "$server"
    apt-get -qq remove --yes ringway >apt.log 2>&1 || fail "apt-get: $(cat apt.log)"
    [ ! -e /usr/bin/ringway ] || fail "remove left the program"
    [ -e "$config" ] || fail "remove took the configuration"
    apt-get -qq purge --yes ringway >apt.log 2>&1 || fail "apt-get: $(cat apt.log)"
    files >after
    diff before after || fail "purge left what is shown above"
}

main
