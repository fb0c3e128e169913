#!/bin/sh
# try.sh PACKAGE SELFTEST [WALK]: installs, uses, upgrades, removes and purges the package in a root that is thrown away: an overlay over this
# system's, in a mount namespace of its own, whose writes go to memory. As root; what the selftest needs is this system's python3.
set -eu

if [ "${1-}" != --inside ]; then
    top=$(mktemp -d)
    trap 'rmdir "$top"' EXIT
    unshare --mount --propagation private sh "$0" --inside "$top" "$(realpath "$1")" "$(realpath "$2")" ${3:+"$(realpath "$3")"}
    exit
fi
top=$2
shift 2
say() { echo "ok      $*"; }
fail() { echo "FAILED  $*"; exit 1; }

mount -t tmpfs -o mode=755 tmpfs "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$top/root"
root=$top/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777,noexec tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777,noexec tmpfs "$root/var/tmp"
cp "$1" "$root/run/dockgate.deb"
cp "$2" "$root/run/selftest.py"
test -z "${3-}" || cp "$3" "$root/run/walk.py"
in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
# What differs from before, but for what dpkg, useradd and caches keep of everything; a directory of this system's is none of ours
left() {
    (cd "$top/upper" && find . ! -type d -o -empty) |
        { grep -v -E '^\./(var/lib/dpkg/|var/(log|cache)/|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/\.pwd\.lock$)' || true; } |
        while read -r name; do if [ ! -d "$top/upper/$name" ] || [ ! -d "/$name" ]; then echo "$name"; fi; done
}

test ! -e "$root/usr/bin/dockgate" || fail "this system has a dockgate of its own"

in_root dpkg --install /run/dockgate.deb >"$top/log" 2>&1 || { cat "$top/log"; fail "dpkg --install"; }
test "$(in_root stat -c %U:%G:%a /var/lib/dockgate)" = dockgate:dockgate:750 || fail "/var/lib/dockgate: $(in_root stat -c %U:%G:%a /var/lib/dockgate)"
test "$(in_root readlink -f /etc/dockgate)" = /var/lib/dockgate || fail "/etc/dockgate"
in_root dpkg --verify dockgate || fail "dpkg --verify"
in_root test -L /etc/systemd/system/multi-user.target.wants/dockgate.service || fail "the unit is not enabled"
say "installed: user, directories, unit"

case "$(in_root dockgate --version)" in "dockgate "*) ;; *) fail "dockgate --version" ;; esac
in_root sh -c 'bash -n /usr/share/bash-completion/completions/dockgate && gzip -t /usr/share/man/man1/dockgate*.1.gz && test -s /usr/share/doc/dockgate/sbom.cdx.json' || fail "completion, manual, bill of materials"
in_root dockgate -o json init --dir /etc/dockgate --no-input --host 127.0.0.1 --tls-bind 127.0.0.1:0 --plain-bind off --admin-bind off >"$top/made"
others=$(in_root find /var/lib/dockgate ! -user dockgate)
test -z "$others" || fail "init as root left what the gateway's user does not own: $others"
as_gateway() { in_root setpriv --reuid dockgate --regid dockgate --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"; }
as_gateway dockgate check >/dev/null || fail "check as the gateway's user"
say "configured: what init makes is the gateway's user's, and found without being named"

# The whole access, as the gateway's user, with every file system but its own read-only and no directory that it could unpack in
in_root install -d -o dockgate -g dockgate -m 700 /var/lib/dockgate/trial
mount --rbind "$root" "$root" && mount -o remount,bind,ro "$root"
mount --bind "$top/upper/var/lib/dockgate" "$root/var/lib/dockgate"
as_gateway env TMPDIR=/var/lib/dockgate/trial python3 /run/selftest.py /usr/bin/dockgate || fail "the selftest of the installed program"
if [ -n "${3-}" ]; then
    as_gateway mkdir /var/lib/dockgate/day
    mount -t tmpfs -o "size=600m,mode=700,uid=$(in_root id -u dockgate),gid=$(in_root id -g dockgate)" tmpfs "$root/var/lib/dockgate/day"
    as_gateway env PYTHONPATH=/run python3 /run/walk.py /usr/bin/dockgate /var/lib/dockgate/day || fail "an operator's day with the installed program"
    umount "$root/var/lib/dockgate/day" && rmdir "$root/var/lib/dockgate/day"
    say "an operator's day with the installed program"
fi
umount --recursive --lazy "$root" # the upper of the two
in_root rm -rf /var/lib/dockgate/trial

before=$(in_root sha256sum /var/lib/dockgate/broker.yaml /var/lib/dockgate/certs/server.pem)
in_root dpkg --install /run/dockgate.deb >"$top/log" 2>&1 || { cat "$top/log"; fail "dpkg --install over itself"; }
test "$(in_root sha256sum /var/lib/dockgate/broker.yaml /var/lib/dockgate/certs/server.pem)" = "$before" || fail "an upgrade changed the installation"
as_gateway dockgate check >/dev/null || fail "check after the upgrade"
say "upgraded: the installation is as it was"

in_root dpkg --remove dockgate >"$top/log" 2>&1 || { cat "$top/log"; fail "dpkg --remove"; }
test ! -e "$root/usr/bin/dockgate" && test ! -e "$root/usr/lib/dockgate" || fail "removed, and the program is still there"
test "$(in_root sha256sum /var/lib/dockgate/broker.yaml /var/lib/dockgate/certs/server.pem)" = "$before" || fail "removing took the data"
say "removed: the program is gone, the data are there"

in_root dpkg --purge dockgate >"$top/log" 2>&1 || { cat "$top/log"; fail "dpkg --purge"; }
! in_root getent passwd dockgate >/dev/null && ! in_root getent group dockgate >/dev/null || fail "purged, and the user is still there"
rest=$(left)
test -z "$rest" || fail "purged, and still there: $rest"
say "purged: nothing is left"
