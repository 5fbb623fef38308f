#!/usr/bin/env bash
# Shows the nodes that are registered in Redis, and how far each has read the change logs.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/redis-nodes.sh [--prefix tg] [-- OPTIONS FOR redis-cli]

Shows every node in the registry: in how many of the 64 shards it is registered, in how many it has
read the log to its end, its lease, and its beat. The beat counts the reads of all logs, four in each
lease: a node whose beat stands still in two runs of this script is silent.

  scripts/redis-nodes.sh -- -h 10.0.0.5 --user ticketgate --askpass
  scripts/redis-nodes.sh -- -c -h 10.0.0.5          a Cluster

It only reads.
TEXT
}

# shellcheck source=scripts/redis-options
source "$(dirname "${BASH_SOURCE[0]}")/redis-options"
read_options "$@"
set -- ${cli_options[@]+"${cli_options[@]}"}

declare -A shards behind lease beat
for shard in $(seq -w 00 63); do
    last=$(redis-cli "$@" --raw XREVRANGE "$prefix:{s$shard}:log" + - COUNT 1 | head -n 1)
    while read -r node && read -r said; do
        [[ -n $node ]] || continue
        # "<position> <lease> <beat>"; a node that has only just come has no position.
        IFS=' ' read -r position ms count <<<"${said/# /- }"
        shards[$node]=$((${shards[$node]:-0} + 1))
        lease[$node]=$ms
        beat[$node]=$count
        if [[ $position != "${last:-0-0}" ]]; then
            behind[$node]=$((${behind[$node]:-0} + 1))
        fi
    done < <(redis-cli "$@" --raw HGETALL "$prefix:{s$shard}:nodes")
done

if ((${#shards[@]} == 0)); then
    echo "No node is registered under the prefix $prefix."
    exit 0
fi
printf '%-34s %7s %7s %9s %10s\n' node shards behind 'lease ms' beat
for node in "${!shards[@]}"; do
    printf '%-34s %7s %7s %9s %10s\n' \
        "$node" "${shards[$node]}" "${behind[$node]:-0}" "${lease[$node]}" "${beat[$node]}"
done
