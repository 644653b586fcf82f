#!/bin/bash
# Runs a command beside a systemd user manager of its own: tests/with-user-systemd.sh USER COMMAND [ARGUMENT...]
#
# Needs root and systemd's programs; systemd need not be what booted the machine. The manager gets a mount, process and
# control-group namespace, an empty HOME (named by HOME_NAME, for names that are hard to escape) and an empty
# /run. The network is the machine's. Ends as COMMAND does, or with 77 where this machine cannot do it.
set -u

cannot() {
    echo "with-user-systemd: $*" >&2
    exit 77
}

outside() {
    [ "$(id -u)" = 0 ] || cannot 'only root can make the namespaces'
    local program
    for program in systemctl unshare setpriv mount /lib/systemd/systemd; do
        command -v "$program" >/dev/null || cannot "there is no $program (Debian: systemd, util-linux)"
    done
    id "$1" >/dev/null 2>&1 || cannot "there is no user $1"

    place=$(mktemp -d /tmp/user-systemd.XXXXXX)
    group=$place/groups/user-systemd.$$
    mkdir "$place/groups"
    chmod 711 "$place"
    trap clean_up EXIT
    trap 'exit 143' TERM INT HUP
    mount -t cgroup2 none "$place/groups" 2>/dev/null || cannot 'no second version of control groups'
    mkdir -p "$group/manager" "$group/command" 2>/dev/null || cannot 'control groups are read-only here'

    # The process enters its control group first: the namespace then begins there, and the manager sees nothing above.
    (
        echo "$BASHPID" >"$group/cgroup.procs" || exit 77
        exec setpriv --pdeathsig KILL unshare --mount --propagation private --cgroup --pid --fork --kill-child \
            --mount-proc "$BASH" "$0" --inside "$place" "$@"
    ) <&0 &
    wait $!
}

clean_up() {
    # The kernel lets go of the groups a moment after their processes.
    echo 1 >"$group/cgroup.kill"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$group" -depth -type d -exec rmdir {} + && break
        sleep 0.1
    done
    umount "$place/groups"
    rm -rf --one-file-system "$place"
} 2>/dev/null

inside() {
    local place=$1 user=$2 uid gid
    shift 2
    uid=$(id -u "$user")
    gid=$(id -g "$user")
    home=$place/${HOME_NAME:-home}
    runtime=/run/user/$uid
    mount -t tmpfs -o mode=755 none /run || cannot 'nothing can be mounted here'
    # systemctl takes the first for the sign that systemd booted the machine.
    mkdir -p /run/systemd/system "$runtime"
    mkdir "$home"
    chmod 700 "$home" "$runtime"
    umount -R /sys/fs/cgroup 2>/dev/null
    mount -t cgroup2 none /sys/fs/cgroup || cannot 'control groups cannot be mounted'
    echo $$ >/sys/fs/cgroup/command/cgroup.procs
    chown "$uid:$gid" "$home" "$runtime" /sys/fs/cgroup/manager \
        /sys/fs/cgroup/manager/cgroup.{procs,subtree_control,threads}

    as_user=(setpriv --reuid "$uid" --regid "$gid" --init-groups env -i HOME="$home" USER="$user" LOGNAME="$user"
        SHELL=/bin/sh LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR="$runtime")
    (
        echo "$BASHPID" >/sys/fs/cgroup/manager/cgroup.procs
        exec "${as_user[@]}" SYSTEMD_LOG_TARGET=console /lib/systemd/systemd --user
    ) >"$place/log" 2>&1 </dev/null &
    local manager=$! state=
    for _ in $(seq 200); do
        state=$("${as_user[@]}" systemctl --user is-system-running 2>/dev/null)
        case "$state" in running | degraded) break ;; esac
        kill -0 "$manager" 2>/dev/null || break
        sleep 0.05
    done
    case "$state" in
        running | degraded) ;;
        *)
            cat "$place/log" >&2
            cannot 'the user manager did not start'
            ;;
    esac
    cd "$home" || exit 77
    "${as_user[@]}" "$@"
}

case "${1-}" in
    --inside)
        shift
        inside "$@"
        ;;
    '' | -*)
        sed -n '2,6s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
    *) outside "$@" ;;
esac
