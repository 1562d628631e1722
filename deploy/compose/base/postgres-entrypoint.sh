#!/bin/sh
# What the official image's entrypoint does, as far as docker-compose.yml asks for it: a first start makes the cluster with
# the superuser's password from POSTGRES_PASSWORD_FILE and the database POSTGRES_DB.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --auth-local=trust \
        --encoding=UTF8 --locale=C.UTF-8 --no-instructions > /dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl -w -o "-c listen_addresses= -c unix_socket_directories=/tmp" start > /dev/null
    psql -q -h /tmp -U postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
    pg_ctl -w -m fast stop > /dev/null
fi
exec "$@"
