#!/bin/sh
# Removes the control groups of a server that has ended: no namespace takes those along.
set -eu
mount -t cgroup2 cgroup2 "$1"
[ ! -e "$1/${1##*/}" ] || find "$1/${1##*/}" -depth -type d -exec rmdir {} +
