# Shared by deploy/up and deploy/down: where a local cluster lives and which processes are its own.
# Sourced, not run. A node is recognised by its data directory on its command line, never by name.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=${CAIRN_STATE_DIR:-$root/.cairn}

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

node_directory() {
    echo "$state/node-$1"
}

# The ids of the nodes that have a directory.
node_ids() {
    local directory
    for directory in "$state"/node-[1-9]; do
        [ ! -d "$directory" ] || echo "${directory##*-}"
    done
}

# The pid of node ID when it runs, else nothing: a pid file may be stale, and the pid somebody else's.
running_pid() {
    local directory pid
    directory=$(node_directory "$1")
    pid=$(cat "$directory/pid" 2>/dev/null) || return 0
    [[ $pid =~ ^[0-9]+$ ]] || return 0
    if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -e "$directory/data"; then
        echo "$pid"
    fi
}

# Ends all nodes that run: SIGTERM first, SIGKILL for those that are still there after ten seconds.
stop_nodes() {
    local id pid deadline
    local -A pids=()
    for id in $(node_ids); do
        pid=$(running_pid "$id")
        [ -n "$pid" ] || continue
        pids[$id]=$pid
        kill -TERM "$pid" 2>/dev/null || true
    done
    deadline=$((SECONDS + 10))
    for id in "${!pids[@]}"; do
        while [ "$(running_pid "$id")" = "${pids[$id]}" ]; do
            if [ "$SECONDS" -ge "$deadline" ]; then
                echo "Node $id (pid ${pids[$id]}) did not stop within 10 seconds: killing it" >&2
                kill -KILL "${pids[$id]}" 2>/dev/null || true
                deadline=$((SECONDS + 5))
            fi
            sleep 0.05
        done
        rm -f "$(node_directory "$id")/pid"
    done
    stopped=${#pids[@]}
}

# One up or down at a time. The nodes must not inherit the lock: they are started with 9>&-.
lock_state() {
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock -w 60 9 || fail "another deploy/up or deploy/down is at work"
}
