#!/bin/sh
# Run a command with a container engine: the one that answers, or one of its own that is gone afterwards. That one leaves the
# host's forwarding and packet filters alone, so that a local cloud may run beside it.
set -eu
docker info > /dev/null 2>&1 && exec "$@"
if [ "$(id -u)" -ne 0 ] || ! command -v dockerd > /dev/null; then
    echo "godwit: no container engine answers, and none can be started: it needs root and dockerd" >&2
    echo "godwit: install it with: apt-get install docker.io docker-compose debootstrap" >&2
    exit 1
fi
work=$(mktemp -d /var/tmp/godwit-engine.XXXXXX)
export DOCKER_HOST="unix://$work/docker.sock"
realtime=
if [ -e /sys/fs/cgroup/cpu/cpu.rt_runtime_us ]; then
    realtime=--cpu-rt-runtime=950000
    export COMPOSE_FILE=docker-compose.yml:deploy/compose/realtime.yml
fi
dockerd --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none $realtime \
    --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" --host "$DOCKER_HOST" > "$work/log" 2>&1 &
engine=$!
end() {
    kill "$engine" 2> /dev/null || true
    wait "$engine" || true
    rm -rf "$work"
}
trap end EXIT
tries=0
until docker info > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ] || ! kill -0 "$engine" 2> /dev/null; then
        tail -n 3 "$work/log" >&2
        exit 1
    fi
    sleep 0.5
done
deploy/compose/base/build.sh
"$@"
