# Runs one PostgreSQL cluster in a folder of its own for the process at the other end of standard input, and takes both
# away when that end closes (the process may have been killed) or on a signal.
# Arguments: folder with PostgreSQL's programs, port, locale. Standard input: the superuser's password, then commands.
# Standard output: one line per step, `started`, `stopped` or `failed`; what went wrong is on standard error.
set -u
bin=$1 port=$2 locale=$3

folder=$(mktemp -d "${TMPDIR:-/tmp}/pgmcp-postgres-XXXXXX") || {
    echo "the user $(id -un) needs a folder that it can write to: name one in TMPDIR" >&2
    exit 1
}
cleanup() {
    trap - EXIT TERM INT HUP
    "$bin/pg_ctl" stop -s -m immediate -D "$folder/data" >/dev/null 2>&1
    rm -rf "$folder"
}
trap cleanup EXIT
# PIPE: there is nobody left to tell that it has started.
trap 'exit 143' TERM INT HUP PIPE

start() {
    # Nothing here has to survive a crash of the machine, so nothing waits for the disk.
    if "$bin/pg_ctl" start -s -w -t 50 -D "$folder/data" -l "$folder/log" </dev/null -o "-p $port -F \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 \
        -c synchronous_commit=off -c full_page_writes=off -c timezone=UTC -c log_timezone=UTC"; then
        echo started
    else
        tail -n 20 "$folder/log" >&2
        echo failed
    fi
}

IFS= read -r password || exit 1
(umask 077 && printf '%s\n' "$password" >"$folder/password")
"$bin/initdb" -D "$folder/data" -U postgres --pwfile="$folder/password" --auth=scram-sha-256 --encoding=UTF8 \
    --locale="$locale" --no-sync </dev/null >/dev/null || { echo failed; exit 1; }
rm -f "$folder/password"

start
while read -r command; do
    case $command in
        start) start ;;
        stop) if "$bin/pg_ctl" stop -s -w -m fast -D "$folder/data" </dev/null; then echo stopped; else echo failed; fi ;;
    esac
done
