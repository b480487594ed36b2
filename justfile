# Every check that CI runs, by one command: `just check`, and with a cluster `just cluster`.

default:
    @just --list

# Format, lints, tests, licences: all that needs no cluster
check: fmt lint test deny

# Is the code formatted?
fmt:
    cargo fmt --check

# Clippy with the lints of Cargo.toml, and the documentation's links
lint:
    cargo clippy --locked --all-targets -- --deny warnings
    RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --quiet

# Unit tests, snapshots, errors, hostile values, shellcheck, tp8/
test:
    cargo test --locked

# Licences and sources of the dependencies
deny:
    cargo deny --log-level error check bans licenses sources

# The nodes have the image of tp8/Q2/Containerfile. PGK_NODE_OFF, PGK_NODE_ON, PGK_NODE_DELETE, PGK_NODE_CUT
# and PGK_NODE_HEAL are the commands that take nodes away and give them back, with {node} for the name;
# PGK_CONTAINER_KILL kills {container} on {node}. What has no command is skipped.
#
# The cluster tests, on the cluster of KUBECONFIG
cluster:
    cargo test --locked --test cluster --test drill --test promote -- --nocapture --test-threads 1

# The cluster tests several times over; what they measured goes to docs/proof/q1.txt
measure times="3":
    #!/usr/bin/env bash
    set -euo pipefail
    {
        just _heading measure {{times}}
        for ((run = 1; run <= {{times}}; run++)); do
            echo "## run $run"
            just cluster 2>&1 | tee /dev/stderr | grep -oE '[a-z_]+: .*[0-9] (s|ms).*|^test result.*' || true
        done
    } >docs/proof/q1.txt

# With the commands of `just cluster`. `random` adds so many events at random; what is left of the arguments
# goes to `pgk gen`.
#
# Every failure of Q2's primary so many times; the tables go to docs/proof/q2.txt
measure-q2 times="5" all_off="2" random="0" *settings="":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --locked --quiet
    pgk=target/debug/pgk namespace=pgk-measure-$$ plan=$(mktemp --suffix .yaml)
    trap 'kubectl delete namespace "$namespace" --wait=false; rm -f "$plan"' EXIT
    kubectl create namespace "$namespace"
    $pgk secret | kubectl --namespace "$namespace" create -f -
    $pgk gen q2 {{settings}} | kubectl --namespace "$namespace" apply -f -
    kubectl --namespace "$namespace" rollout status statefulset/pg --timeout 300s
    drill() { # TIME: the plan on stdin, with nodes that are away for at most TIME
        cat >"$plan"
        $pgk drill "$plan" --namespace "$namespace" --warm-up 3s --cool-down 3s --node-on-after "$1" \
            --node-off "$PGK_NODE_OFF" --node-on "$PGK_NODE_ON" --node-delete "$PGK_NODE_DELETE" \
            --node-cut "$PGK_NODE_CUT" --node-heal "$PGK_NODE_HEAL" --container-kill "$PGK_CONTAINER_KILL"
    }
    events=(switchover pod-delete pod-force postgres-kill container-kill volume-delete node-off node-cut)
    {
        just _heading measure-q2 {{times}} {{all_off}} {{random}} {{settings}}
        for event in "${events[@]}"; do echo "- {event: $event, repeat: {{times}}}"; done | drill 20s
        echo "- {event: node-delete, repeat: {{times}}}" | drill 150s
        [ {{all_off}} = 0 ] || echo "- {event: all-off, repeat: {{all_off}}}" | drill 150s
        [ {{random}} = 0 ] || for ((i = 0; i < {{random}}; i++)); do
            echo "- {event: ${events[RANDOM % ${#events[@]}]}}"
        done | drill 20s
    } | tee docs/proof/q2.txt

# What was run, when and where: the first lines of every measurement
_heading +recipe:
    @echo "# just {{recipe}}, $(date --utc +%Y-%m-%d), commit $(git rev-parse --short HEAD)"
    @echo "# $(kubectl version | sed -n "s/^Server Version: /Kubernetes /p"), $(nproc) cores, $(kubectl get nodes --no-headers | wc -l) nodes"

# Render tp8/ again
tp8:
    cargo run --locked --quiet -- gen q1 -o tp8/Q1
    cargo run --locked --quiet -- gen q2 -o tp8/Q2
    cargo run --locked --quiet -- gen q2 --strategy restore -o tp8/Q2/restore

# Take what pgk prints now for right: snapshots and tp8/
accept: tp8
    INSTA_UPDATE=always cargo test --locked --test snapshots --test errors
