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

prefix=tg count=20
while (($#)); do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --prefix)
            prefix=${2:?a prefix}
            shift 2
            ;;
        --count)
            count=${2:?a number}
            shift 2
            ;;
        --)
            shift
            break
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
done

for shard in $(seq -w 00 63); do
    redis-cli "$@" --raw XREVRANGE "$prefix:{s$shard}:log" + - COUNT "$count" |
        while read -r id && read -r what && read -r name; do
            printf '%s %s %s %s\n' "$id" "$shard" "$what" "$name"
        done
done | sort -t - -k 1,1n | tail -n "$count" | while read -r id shard what name; do
    printf '%s  s%s  %-8s %s\n' "$(date -u -d "@$((${id%-*} / 1000))" +%FT%TZ)" "$shard" "$what" "$name"
done
