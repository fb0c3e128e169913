#!/bin/sh
# try.sh PACKAGE: the package's unit under a real systemd, booted with systemd-nspawn in a root that is thrown away: an overlay over this
# system's (or over ROOT=DIRECTORY, a Debian made by debootstrap with systemd in it), whose writes go to memory. No network but its own
# loopback, and none of this system's own services. As root.
set -eu

if [ "${1-}" != --inside ]; then
    top=$(mktemp -d)
    trap 'rmdir "$top"' EXIT
    unshare --mount --propagation private sh "$0" --inside "$top" "$(realpath "$1")"
    exit
fi
top=$2
package=$3
say() { echo "ok      $*"; }
fail() {
    echo "FAILED  $*"
    if [ -n "${init-}" ]; then within journalctl --no-pager --lines 60 --unit dockgate || true; fi
    cat "$top/boot" 2>/dev/null || true
    exit 1
}

mount -t tmpfs -o mode=755 tmpfs "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=${ROOT:-/},upperdir=$top/upper,workdir=$top/work" "$top/root"
root=$top/root
rm -rf "$root/etc/systemd/system" && mkdir "$root/etc/systemd/system"
rm -f "$root/usr/sbin/policy-rc.d" # of containers: it would keep the package from starting anything
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
cp "$package" "$root/var/dockgate.deb"
test ! -e "$root/usr/bin/dockgate" || fail "this system has a dockgate of its own"

systemd-nspawn --quiet --directory="$root" --machine="dockgate-$$" --register=no --keep-unit --private-network --boot --console=pipe \
    </dev/null >"$top/boot" 2>&1 &
nspawn=$!
init=""
# What is left of it must not outlive this script
trap 'test -z "$init" || kill -KILL "$init" 2>/dev/null || true; kill "$nspawn" 2>/dev/null || true; wait "$nspawn" 2>/dev/null || true' EXIT
within() { nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
# until SECONDS COMMAND: look four times a second; another system has nothing to wake us with
until_true() {
    left=$(($1 * 4))
    shift
    while ! "$@"; do
        left=$((left - 1))
        test "$left" -gt 0 || return 1
        sleep 0.25
    done
}
found() { init=$(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null) && init=${init%% *} && test -n "$init"; }
until_true 20 found || fail "systemd-nspawn did not begin"
booted() { within systemctl is-system-running 2>/dev/null | grep -q -E 'running|degraded'; }
until_true 40 booted || fail "systemd did not boot"
say "booted: systemd $(within systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"

value() { within systemctl show dockgate --property "$1" --value; }
is() { test "$(value "$1")" = "$2"; }
within dpkg --install /var/dockgate.deb >"$top/log" 2>&1 || { cat "$top/log"; fail "dpkg --install"; }
is ActiveState inactive || fail "the unit runs before there is an installation"
is ConditionResult no || fail "the unit's condition"
within dockgate init --dir /etc/dockgate --no-input --host 127.0.0.1 >"$top/made" 2>&1 || { cat "$top/made"; fail "dockgate init"; }
within systemctl start dockgate || fail "systemctl start"
is ActiveState active && is Type notify || fail "the unit is not active"
pid=$(value MainPID)
within dockgate health >/dev/null || fail "the gateway does not answer on its ports"
say "started: told systemd that it is ready, and answers"

test "$(within stat -c %U "/proc/$pid")" = dockgate || fail "it runs as another user"
state() { within sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"; }
for set in CapPrm CapEff CapBnd CapAmb; do test "$(state $set)" = 0000000000000000 || fail "it has capabilities: $set $(state $set)"; done
test "$(state NoNewPrivs)" = 1 && test "$(state Seccomp)" = 2 || fail "no system call filter"
# Its own view of the files, with root's rights: what cannot be written here is mounted so
seen_from_here() { for one in /proc/[0-9]*; do case "$(sed -n 's/^NSpid:[[:space:]]*//p' "$one/status" 2>/dev/null)" in *"	$pid") basename "$one" && return ;; esac; done; }
outer=$(seen_from_here)
test -n "$outer" || fail "the gateway's process is not found from here"
in_its_view() { nsenter --target "$outer" --mount -- "$@" 2>/dev/null; }
in_its_view touch /var/lib/dockgate/x && in_its_view rm /var/lib/dockgate/x || fail "it cannot write to its own directory"
for place in /usr/x /etc/x /var/x /opt/x /var/lib/x; do ! in_its_view touch "$place" || fail "it can write $place"; done
! in_its_view sh -c ': >>/var/lib/dockgate/broker.yaml' || fail "it can change its own configuration"
test -z "$(in_its_view ls -A /root)" || fail "it sees homes"
exposed=$(within systemd-analyze security --no-pager dockgate.service | sed -n 's/^.*Overall exposure level for dockgate.service: \([0-9.]*\).*/\1/p')
case $exposed in 0.* | 1.[0-5]) ;; *) fail "systemd-analyze security: $exposed" ;; esac
say "walled in: systemd-analyze security gives it $exposed of 10"

within systemctl reload dockgate || fail "systemctl reload"
within journalctl --no-pager --unit dockgate | grep -q "Reloaded dockgate" || fail "the journal does not know of the reload"
is MainPID "$pid" || fail "a reload is not to start another process"
say "reloaded: the same process"

within mkdir -p /etc/systemd/system/dockgate.service.d
within sh -c 'printf "[Service]\nWatchdogSec=2\n" >/etc/systemd/system/dockgate.service.d/watchdog.conf'
within systemctl daemon-reload && within systemctl restart dockgate || fail "a drop-in for the watchdog"
pid=$(value MainPID)
within sh -c "kill -STOP $pid" || fail "kill -STOP"
another() { is ActiveState active && test "$(value MainPID)" != "$pid" && test "$(value NRestarts)" = 1; }
until_true 30 another || fail "the watchdog did not start it anew: $(value ActiveState), $(value NRestarts) restarts, result $(value Result)"
within dockgate health >/dev/null || fail "the gateway does not answer after the watchdog"
say "stopped still: the watchdog has started it anew"

pid=$(value MainPID)
within sh -c "kill -KILL $pid"
again() { is ActiveState active && test "$(value MainPID)" != "$pid" && within dockgate health >/dev/null 2>&1; }
until_true 30 again || fail "killed, and not started again"
say "killed: started again"

within sed -i 's/^dockgate:$/dockgate:\n  no_such_option: 1/' /var/lib/dockgate/broker.yaml
! within systemctl restart dockgate 2>/dev/null || fail "it starts with a configuration that cannot be used"
is ActiveState failed && is ExecMainStatus 7 && is NRestarts 0 || fail "exit code 7 is not to be tried again: $(value ActiveState), $(value ExecMainStatus), $(value NRestarts)"
within journalctl --no-pager --unit dockgate | grep -q "no_such_option" || fail "the journal does not say why"
within sed -i '/no_such_option/d' /var/lib/dockgate/broker.yaml
within systemctl restart dockgate || fail "systemctl restart"
say "misconfigured: not tried again, the journal says why"

within dpkg --install /var/dockgate.deb >"$top/log" 2>&1 || { cat "$top/log"; fail "dpkg --install over itself"; }
is ActiveState active && within dockgate health >/dev/null || fail "an upgrade has left it stopped"
say "upgraded: it runs again"
pid=$(value MainPID)
within dpkg --purge dockgate >"$top/log" 2>&1 || { cat "$top/log"; fail "dpkg --purge"; }
! within test -e "/proc/$pid" && test ! -e "$root/var/lib/dockgate" && ! within getent passwd dockgate >/dev/null || fail "purged, and something is left"
! within systemctl cat dockgate >/dev/null 2>&1 || fail "purged, and systemd still knows the unit"
say "purged: stopped, and nothing is left"
