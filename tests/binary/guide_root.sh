#!/bin/sh
# guide_root.sh PACKAGE COMMANDS: types COMMANDS, a file, as an operator with the package would: in a root that is thrown away (an overlay whose
# writes go to memory) and a network of its own. systemd is not there; what stands in for it runs the gateway as the unit's user.
set -eu

if [ "${1-}" != --inside ]; then
    top=$(mktemp -d)
    trap 'rmdir "$top"' EXIT
    unshare --mount --net --pid --fork --kill-child --propagation private sh "$0" --inside "$top" "$(realpath "$1")" "$(realpath "$2")"
    exit
fi
top=$2
mount -t tmpfs -o mode=755 tmpfs "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$top/root"
root=$top/root
test ! -e "$root/usr/bin/dockgate" || { echo "this system has a dockgate of its own" >&2; exit 1; }
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# The loopback of a new network is down: SIOCSIFFLAGS (0x8914), IFF_UP | IFF_RUNNING
python3 -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, struct.pack("16sh14x", b"lo", 0x41))'

mkdir "$root/run/bin" "$root/run/here"
for version in 0.1.0 0.2.0; do cp "$3" "$root/run/here/dockgate_${version}_amd64.deb"; done
cp "$4" "$root/run/commands"
printf '#!/bin/sh\nexec "$@"\n' >"$root/run/bin/sudo"
cat >"$root/run/bin/systemctl" <<'END'
#!/bin/sh
# Of systemctl what the guides type, for one unit
set -eu
test "$2" = dockgate
case $1 in
start)
    setpriv --reuid dockgate --regid dockgate --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
        env HOME=/var/lib/dockgate DOCKGATE_CACHE=/var/lib/dockgate dockgate serve >/run/log 2>&1 </dev/null &
    echo $! >/run/pid
    dockgate health --wait 30 >/dev/null || { cat /run/log; exit 1; }
    ;;
stop)
    kill "$(cat /run/pid)"
    while kill -0 "$(cat /run/pid)" 2>/dev/null; do sleep 0.1; done
    ;;
status) kill -0 "$(cat /run/pid)" ;;
*) exit 2 ;;
esac
END
chmod 755 "$root/run/bin/sudo" "$root/run/bin/systemctl"
chroot "$root" env -i PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    sh -euxc 'cd /run/here; . /run/commands'
