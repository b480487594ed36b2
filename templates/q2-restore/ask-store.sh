# shellcheck shell=bash disable=SC2154
# How a pod talks to the store. Sourced.
ask_store() { perl /etc/pgk/scripts/store.pl "$store_service" "$@"; }

# One word of the store's state (see store.pl): 1 condition, 2 holder, 3 last WAL file, 4 phase.
# Nothing where it does not answer.
store_state() { ask_store state 2>/dev/null | cut -d' ' -f"$1"; }
