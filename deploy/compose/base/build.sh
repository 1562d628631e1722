#!/bin/sh
# Stand-ins for the base images, under the same names, made from Debian's packages: for a machine that reaches a mirror of
# Debian but no image registry. Needs root and debootstrap. The host's package sources, apt settings and additional
# certificates are taken over into these images, and into nothing else.
set -eu
cd "$(dirname "$0")"
python=${GODWIT_PYTHON_IMAGE:-python:3.11-slim-bookworm}
postgres=${GODWIT_POSTGRES_IMAGE:-postgres:15-bookworm}
redis=${GODWIT_REDIS_IMAGE:-redis:7-bookworm}
codename=bookworm

missing=""
for image in "$python" "$postgres" "$redis"; do
    docker image inspect "$image" > /dev/null 2>&1 || missing="$missing $image"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap > /dev/null; then
    echo "godwit: stand-ins for$missing need root and debootstrap (apt-get install debootstrap)" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp Dockerfile ./*.sh "$work"
sources=$(apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' \
    | grep " $codename" | sort -u || true)
[ -n "$sources" ] || sources="deb http://deb.debian.org/debian $codename main"
mirror=$(echo "$sources" | awk -v suite="$codename" '$3 == suite { print $2; exit }')

echo "godwit: making stand-ins for$missing from $mirror"
debootstrap --variant=minbase --include=ca-certificates "$codename" "$work/root" "$mirror" > "$work/log" 2>&1 \
    || { tail -n 5 "$work/log" >&2; exit 1; }
echo "$sources" > "$work/root/etc/apt/sources.list"
grep -shE '^ *Acquire' /etc/apt/apt.conf /etc/apt/apt.conf.d/* > "$work/root/etc/apt/apt.conf.d/80host" || true
cat > "$work/root/etc/apt/apt.conf.d/80docker-clean" << 'CLEAN'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
APT::Install-Recommends "false";
CLEAN
cp /usr/local/share/ca-certificates/*.crt "$work/root/usr/local/share/ca-certificates/" 2> /dev/null || true
chroot "$work/root" update-ca-certificates > /dev/null 2>&1
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\ndisable-pip-version-check = true\n' > "$work/root/etc/pip.conf"
rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/* "$work"/root/var/log/*
tar -C "$work/root" -cf "$work/base.tar" .
rm -rf "$work/root"

for one in "python $python" "postgres $postgres" "redis $redis"; do
    docker build --quiet --network host --target "${one%% *}" --tag "${one#* }" "$work" > /dev/null
done
