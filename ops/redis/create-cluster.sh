#!/bin/sh
# Makes one Redis Cluster of the nodes given as HOST:PORT, half of them replicas, unless they are one already.
set -eu
first=$1
redis() { redis-cli -h "${first%:*}" -p "${first##*:}" "$@"; }
until [ "$(redis ping)" = PONG ]; do sleep 1; done
if redis cluster info | grep -q cluster_state:ok; then exit 0; fi
redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
until [ "$(redis cluster nodes | grep -c slave)" -eq $(($# / 2)) ]; do sleep 1; done
