#!/bin/sh
# What the tests left out on this machine, from the list that they wrote (tests/common, left_out).
# With TCPLAB_REQUIRE_ALL=1 a list that is not empty is an error.
set -eu
list=${1:?the list is the argument}
if [ ! -s "$list" ]; then
    echo "left out: nothing"
    exit 0
fi
sort -u "$list"
if [ "${TCPLAB_REQUIRE_ALL:-}" = 1 ]; then
    echo "TCPLAB_REQUIRE_ALL=1 forbids leaving anything out" >&2
    exit 1
fi
