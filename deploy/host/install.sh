#!/bin/sh
# Install the Debian packages Godwit needs that this machine lacks. Debian 12 or newer, Ubuntu 22.04 or newer; needs root.
# Nothing that is installed here starts a service: the local cloud runs its own PostgreSQL, Redis and BIRD.
set -eu
packages="bird2 clang ethtool iproute2 iputils-ping libbpf-dev libbpf1 linux-libc-dev nftables postgresql procps redis-server tcpdump util-linux"

missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "godwit: missing Debian packages:$missing" >&2
    echo "godwit: install them as root with: sh deploy/host/install.sh" >&2
    exit 1
fi

echo "godwit: installing Debian packages:$missing"
if [ ! -e /etc/postgresql-common/createcluster.d/godwit.conf ]; then
    mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.d/godwit.conf
fi
# invoke-rc.d asks policy-rc.d whether a service may start; 101 means "not now".
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing > /dev/null
