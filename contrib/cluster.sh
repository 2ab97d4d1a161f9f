#!/usr/bin/env bash
# Two Kamailio nodes that share a database, and our client at both (docs/scaling.md). Everything on loopback and in a folder that is
# taken away at the end.
set -euo pipefail
# Each node is a group of processes, which ends as one.
set -m
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=${SIPPRESENCE:-target/release/sippresence}
config=tests/peers/kamailio/kamailio.cfg
schema=/usr/share/kamailio/db_sqlite
[[ -x $program ]] || { echo "build first: cargo build --release" >&2; exit 2; }
kamailio=$(command -v kamailio || echo /usr/sbin/kamailio)
[[ -x $kamailio ]] || { echo "no kamailio on this machine" >&2; exit 2; }

folder=$(mktemp -d)
nodes=()
end() {
    ((${#nodes[@]} == 0)) || kill -9 -- "${nodes[@]/#/-}" 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT

{
    echo "PRAGMA journal_mode=WAL;"
    for part in standard auth_db usrloc presence; do cat "$schema/$part-create.sql"; done
    for user in alice bob; do
        echo "INSERT INTO subscriber (username, domain, password) VALUES ('$user', 'sip.test', '$user-pw');"
    done
} >"$folder/tables.sql"
sqlite3 "$folder/presence.db" ".read $folder/tables.sql" >/dev/null

# The nodes keep nothing of presence to themselves.
sed -e 's/("presence", "subs_db_mode", 0)/("presence", "subs_db_mode", 3)/' \
    -e 's/("presence", "publ_cache", 1)/("presence", "publ_cache", 0)/' "$config" >"$folder/kamailio.cfg"
start() {
    local port=$1
    mkdir -p "$folder/$port"
    "$kamailio" -f "$folder/kamailio.cfg" -DD -E -m 64 -M 8 -w "$folder/$port" -Y "$folder/$port" \
        -l "udp:127.0.0.1:$port" -l "tcp:127.0.0.1:$port" -A "PORTS=\"$port|$((port + 1))\"" \
        -A "DB=\"sqlite:///$folder/presence.db\"" -A OPEN=1 -A WITH_AUTH >"$folder/$port.log" 2>&1 &
    nodes+=("$!")
    # What becomes of it is told by us alone.
    disown
}
start 17160
start 17170
sleep 2

as() {
    local user=$1 port=$2 home=$folder/home-$1-$2
    shift 2
    mkdir -p "$home/.config/sippresence"
    (umask 077 && echo "$user-pw" >"$home/password")
    cat >"$home/.config/sippresence/config.toml" <<EOF
[account.work]
address = "sip:$user@sip.test"
outbound_proxy = "sip:127.0.0.1:$port"
password_file = "$home/password"
EOF
    env -i HOME="$home" PATH="$PATH" "$program" --no-agent "$@"
}

echo "alice publishes at the first node:"
as alice 17160 set busy --note "at the first node"
echo "bob looks through the second one:"
as bob 17170 show alice
echo "the first node is killed; bob looks again:"
kill -9 -- "-${nodes[0]}"
as bob 17170 show alice
