#!/bin/sh
# A copy of a Debian that systemd starts in. What is written is in memory, and gone with the namespaces.
set -eu
folder=$1 debian=$2 project=$3
read -r pid _ </proc/self/stat

mkdir "$folder/new" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=$debian,upperdir=$folder/new,workdir=$folder/work" overlay "$folder/root"
cd "$folder/root"
mkdir -p root/sse-chat
mount --bind -o ro "$project" root/sse-chat
cp "$folder/hosts" etc/hosts
rm -f etc/resolv.conf
cp /etc/resolv.conf etc/resolv.conf
# An empty one has systemd make the machine's id.
: >etc/machine-id

mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  : >"dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
echo "$pid" >"$folder/started"

mkdir -p run/outside
pivot_root . run/outside
umount -l run/outside
# The services that this machine has are none of a fresh Debian.
exec env -i container=copy PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=basic.target --show-status=no </dev/null >/dev/null 2>&1
