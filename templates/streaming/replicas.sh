# shellcheck disable=SC2034
# How many replicas there are. A file of its own: a change of it restarts no pod. Sourced by first-start.sh.
replicas={{ replicas }}
