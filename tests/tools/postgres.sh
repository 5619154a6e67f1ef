#!/bin/sh
# A throw-away PostgreSQL on a unix socket. Prints one line, the connection string, when it answers; stops and removes
# everything when its standard input ends, so it never outlives who holds the other end. Exits 77 when PostgreSQL is not
# installed. As root it runs the server as the user postgres, or as nobody where there is none.
set -eu

newest() {
    for folder in /usr/lib/postgresql/*/bin; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then echo "$folder"; fi
    done | sort -V | tail -n 1
}
bin=$(newest)
if [ -z "$bin" ]; then
    bin=$(pg_config --bindir 2>/dev/null) || bin=
    if [ ! -x "$bin/initdb" ]; then
        echo "PostgreSQL is not installed" >&2
        exit 77
    fi
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/weir-postgres.XXXXXX")
server=
finish() {
    trap - EXIT
    if [ -n "$server" ]; then
        kill -INT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

as=
if [ "$(id -u)" = 0 ]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$dir"
    as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups"
fi
cd "$dir"

# A default collation that is not by bytes, as most real clusters have.
locale='--locale=C.UTF-8'
if "$bin/initdb" --help | grep -q icu-locale; then locale="$locale --locale-provider=icu --icu-locale=en"; fi
# shellcheck disable=SC2086 # words
$as "$bin/initdb" -D "$dir/data" -U weir -A trust -E UTF8 -N $locale >"$dir/initdb.log" 2>&1 || {
    cat "$dir/initdb.log" >&2
    exit 1
}
# Not durable: only crashes of our programs are tested, not of the server.
# shellcheck disable=SC2086
$as "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c full_page_writes=off \
    -c max_connections=200 -c shared_buffers=16MB -c autovacuum=off </dev/null >"$dir/log" 2>&1 &
server=$!

tries=0
until "$bin/pg_isready" -q -h "$dir" -U weir; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$dir/log" >&2
        exit 1
    fi
    sleep 0.1
done
echo "host=$dir user=weir dbname=postgres"
cat >/dev/null
