#!/bin/sh
# Installs the programs that the tests use, where that is allowed: as root on Debian and its kin. Elsewhere it says what
# is missing, and that is an error only with TCPLAB_REQUIRE_ALL=1.
set -eu

# command:package, with Debian's package names
wanted='tshark:tshark tcpdump:tcpdump tcptrace:tcptrace curl:curl nc:netcat-openbsd ip:iproute2 ping:iputils-ping
    valgrind:valgrind gcc:gcc openssl:openssl python3:python3 tmux:tmux redis-server:redis-server psql:postgresql
    script:bsdutils runuser:util-linux pg_ctlcluster:postgresql ssh:openssh-client sshd:openssh-server
    nginx:nginx-light iperf3:iperf3 traceroute:traceroute dig:bind9-dnsutils dnsmasq:dnsmasq-base'
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

packages=$(missing)
if [ -z "$packages" ]; then
    echo "all programs that the tests use are here"
    exit 0
fi
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
