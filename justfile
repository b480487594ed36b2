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

# The cluster tests, on the cluster of KUBECONFIG; PGK_NODE_OFF, PGK_NODE_ON, PGK_NODE_DELETE, PGK_NODE_CUT
# and PGK_NODE_HEAL are the commands that take its nodes away and give them back, with {node} for the name
cluster:
    cargo test --locked --test cluster --test drill -- --nocapture --test-threads 1

# The cluster tests several times over; what they measured goes to docs/proof/q1.txt
measure times="3":
    #!/usr/bin/env bash
    set -euo pipefail
    {
        echo "# just measure {{times}}, $(date --utc +%Y-%m-%d), commit $(git rev-parse --short HEAD)"
        echo "# $(kubectl version | sed -n "s/^Server Version: /Kubernetes /p"), $(nproc) cores, $(kubectl get nodes --no-headers | wc -l) nodes"
        for ((run = 1; run <= {{times}}; run++)); do
            echo "## run $run"
            just cluster 2>&1 | tee /dev/stderr | grep -oE '[a-z_]+: .*[0-9] (s|ms).*|^test result.*' || true
        done
    } >docs/proof/q1.txt

# Render tp8/ again
tp8:
    cargo run --locked --quiet -- gen q1 -o tp8/Q1
    cargo run --locked --quiet -- gen q2 -o tp8/Q2

# Take what pgk prints now for right: snapshots and tp8/
accept: tp8
    INSTA_UPDATE=always cargo test --locked --test snapshots --test errors
