#!/bin/sh
# Installs the programs that the tests use, where that is allowed: as root on Debian and its kin. Elsewhere it says what
# is missing, and that is an error only with TCPLAB_REQUIRE_ALL=1. axe-core goes into the user's cache.
set -eu

# The version of axe-core, which tests/browser reads here, and the sum of its axe.min.js.
axe=4.14.1
axe_sha256=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
axe_file=${XDG_CACHE_HOME:-$HOME/.cache}/tcplab/axe-core-$axe.js

# command:package, with Debian's package names
wanted='tshark:tshark tcpdump:tcpdump tcptrace:tcptrace curl:curl nc:netcat-openbsd ip:iproute2 ping:iputils-ping
    valgrind:valgrind gcc:gcc openssl:openssl python3:python3 tmux:tmux redis-server:redis-server psql:postgresql
    script:bsdutils runuser:util-linux pg_ctlcluster:postgresql ssh:openssh-client sshd:openssh-server
    nginx:nginx-light iperf3:iperf3 traceroute:traceroute dig:bind9-dnsutils dnsmasq:dnsmasq-base
    chromium:chromium chromedriver:chromium-driver npm:npm'
# module of Python:package
modules='websockets:python3-websockets'

missing() {
    PATH=$PATH:/usr/sbin:/sbin
    for pair in $wanted; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || printf ' %s' "${pair#*:}"
    done
    for pair in $modules; do
        /usr/bin/python3 -c "import ${pair%%:*}" 2>/dev/null || printf ' %s' "${pair#*:}"
    done
}

fail() {
    echo "$1" >&2
    if [ "${TCPLAB_REQUIRE_ALL:-}" = 1 ]; then
        echo "TCPLAB_REQUIRE_ALL=1 forbids going on without" >&2
        exit 1
    fi
    exit 0
}

for component in fmt:rustfmt clippy:clippy; do
    cargo "${component%%:*}" --version >/dev/null 2>&1 ||
        fail "missing for make lint: rustup component add ${component#*:}"
done

# True if axe-core is in the cache, as it was published.
has_axe() {
    [ -f "$axe_file" ] && [ "$(sha256sum <"$axe_file")" = "$axe_sha256  -" ]
}

fetch_axe() {
    place=$(mktemp -d)
    mkdir -p "${axe_file%/*}"
    (cd "$place" && npm pack --silent "axe-core@$axe" </dev/null && tar -xzf "axe-core-$axe.tgz") >/dev/null &&
        mv "$place/package/axe.min.js" "$axe_file"
    status=$?
    rm -rf "$place"
    return "$status"
}

packages=$(missing)
if [ -n "$packages" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "missing:$packages (Debian's names): install them, as root: apt-get install$packages"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # The list of packages is a list of words.
    # shellcheck disable=SC2086
    install() { apt-get install -y -q --no-install-recommends $packages </dev/null; }
    install || { apt-get update -q </dev/null && install; } || fail "apt-get could not install:$packages"
    packages=$(missing)
    [ -z "$packages" ] || fail "still missing after apt-get install:$packages"
fi
has_axe || fetch_axe || fail "npm could not fetch axe-core $axe"
has_axe || fail "what npm fetched as axe-core $axe has another sha256 than $axe_sha256"
echo "all programs that the tests use are here"
