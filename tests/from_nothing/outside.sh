#!/bin/sh
# What is outside of the server: a network with Let's Encrypt's stand-in. Runs in namespaces of its own;
# then starts the server in others.
set -eu
here=$1 folder=$2 debian=$3 project=$4
read -r pid _ </proc/self/stat
echo "$pid"

mount -t tmpfs tmpfs "$folder"
mkdir "$folder/cgroups" "$folder/authority"
mount -t cgroup2 cgroup2 "$folder/cgroups"
mkdir "$folder/cgroups/${folder##*/}"
echo 1 >"$folder/cgroups/${folder##*/}/cgroup.procs"

cat >"$folder/hosts" <<END
127.0.0.1 localhost
203.0.113.1 acme-v02.api.letsencrypt.org
203.0.113.2 chat.example.com
END
mount --bind "$folder/hosts" /etc/hosts
ip link set lo up
ip link add outside type veth peer name server
ip address add 203.0.113.1/24 dev outside
ip link set outside up

XDG_DATA_HOME=$folder/authority XDG_CONFIG_HOME=$folder/authority \
  caddy run --adapter caddyfile --config "$here/authority.Caddyfile" 2>"$folder/authority.log" &
mkfifo "$folder/started"
unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net \
  sh "$here/server.sh" "$folder" "$debian" "$project" &
read -r server <"$folder/started"
ip link set server netns "/proc/$server/ns/net"
nsenter --target "$server" --net sh -c '
  ip link set lo up
  ip address add 203.0.113.2/24 dev server
  ip link set server up'
echo "$server"
wait
