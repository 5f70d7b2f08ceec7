#!/bin/bash
# Boots systemd in a directory that holds a Debian, in namespaces and a control group of its own, and
# returns when it has ended. Killed, it takes all that runs there with it. As root.
#   scripts/boot_systemd.sh ROOT
# Its process 1 is the child of the child of this script.
set -euo pipefail
root=$(realpath "$1")

if [[ -d /sys/fs/cgroup/systemd ]]; then
  hierarchies=(/sys/fs/cgroup/systemd /sys/fs/cgroup/unified)  # hybrid, beside version 1
else
  hierarchies=(/sys/fs/cgroup)
fi

mount_all() {
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t tmpfs -o mode=0755 tmpfs "$root/run"
  mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
  mkdir -m 1777 "$root/dev/shm" && mkdir "$root/dev/pts"
  local device
  for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  ln -s /proc/self/fd "$root/dev/fd"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  if [[ ${#hierarchies[@]} -eq 1 ]]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  else
    mount -t tmpfs -o mode=0755 tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  fi
}

if [[ ${2:-} == --inside ]]; then
  mount_all
  cd "$root"
  # Not only chroot: units with namespaces of their own begin with the mount at the root.
  pivot_root . mnt
  umount --lazy /mnt
  # It behaves as in a container where it is told the name of one.
  exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd </dev/null
fi

group=pitr-test-$$
clean_up() {
  local hierarchy
  kill -KILL "$booted" 2>/dev/null || true
  wait "$booted" 2>/dev/null || true
  for hierarchy in "${hierarchies[@]}"; do
    echo $$ >"$hierarchy/cgroup.procs"
    # What was killed may take a moment to leave its group.
    for _ in $(seq 50); do
      find "$hierarchy/$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.1
    done
  done
}
trap clean_up EXIT
trap 'exit 1' TERM INT
for hierarchy in "${hierarchies[@]}"; do
  mkdir "$hierarchy/$group"
  echo $$ >"$hierarchy/$group/cgroup.procs"
done
unshare --pid --mount --cgroup --uts --ipc --fork --kill-child "$0" "$root" --inside &
booted=$!
wait "$booted"
