#!/usr/bin/env bash
# Shows what takes the memory in Redis, by kind of key.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/redis-sizes.sh [--prefix tg] [--sample 1000] [-- OPTIONS FOR redis-cli]

Counts ticketgate's keys by kind and adds up their memory (MEMORY USAGE of a sample of each kind,
times their number). On a Cluster run it once for each master, without -c.

  scripts/redis-sizes.sh -- -h 10.0.0.5 --user ticketgate --askpass

It only reads, with SCAN, which does not hold up others.
TEXT
}

number_option=--sample number=1000
# shellcheck source=scripts/redis-options
source "$(dirname "${BASH_SOURCE[0]}")/redis-options"
read_options "$@"
set -- ${cli_options[@]+"${cli_options[@]}"}

keys=$(mktemp)
trap 'rm -f "$keys"' EXIT
redis-cli "$@" --scan --pattern "$prefix:{s*" >"$keys"

# tg:{s07}:holder:... -> holder
kinds=$(cut -d : -f 3 <"$keys" | sort | uniq -c)
printf '%-10s %10s %12s %14s\n' kind keys 'bytes each' 'bytes in all'
while read -r number kind; do
    [[ -n $kind ]] || continue
    total=0 seen=0
    while read -r bytes; do
        total=$((total + bytes)) seen=$((seen + 1))
    done < <(grep -F "}:$kind" "$keys" | shuf -n "$number" --random-source=<(yes) |
        sed 's/.*/MEMORY USAGE "&"/' | redis-cli "$@" --raw | grep -E '^[0-9]+$')
    each=$((seen ? total / seen : 0))
    printf '%-10s %10s %12s %14s\n' "$kind" "$number" "$each" "$((each * number))"
done <<<"$kinds"
