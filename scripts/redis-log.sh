#!/usr/bin/env bash
# Shows what has changed lately, from the change logs in Redis.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/redis-log.sh [--prefix tg] [--count 20] [-- OPTIONS FOR redis-cli]

Shows the last changes of all 64 shards, oldest first: when, in which shard, and which record was
changed, or which node asked the others to confirm. What a record is now, `ticketgate inspect` says.

  scripts/redis-log.sh --count 50 -- -h 10.0.0.5 --user ticketgate --askpass

It only reads. About 1,000 entries of each shard are kept.
TEXT
}

number_option=--count number=20
# shellcheck source=scripts/redis-options
source "$(dirname "${BASH_SOURCE[0]}")/redis-options"
read_options "$@"
set -- ${cli_options[@]+"${cli_options[@]}"}

for shard in $(seq -w 00 63); do
    redis-cli "$@" --raw XREVRANGE "$prefix:{s$shard}:log" + - COUNT "$number" |
        while read -r id && read -r what && read -r name; do
            printf '%s %s %s %s\n' "$id" "$shard" "$what" "$name"
        done
done | sort -t - -k 1,1n | tail -n "$number" | while read -r id shard what name; do
    printf '%s  s%s  %-8s %s\n' "$(date -u -d "@$((${id%-*} / 1000))" +%FT%TZ)" "$shard" "$what" "$name"
done
