# Every check that CI runs, by one command: `just check`, and with a cluster `just cluster`.

default:
    @just --list

# Format, lints, tests, speed, licences: all that needs no cluster
check: fmt lint test instructions deny

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

# Does pgk take more than a tenth more instructions than benches/instructions.txt says? Needs valgrind
instructions *arguments:
    benches/instructions.py {{arguments}}

# Licences and sources of the dependencies
deny:
    cargo deny --log-level error check bans licenses sources

# kube-score over tp8/ and the examples, rendered: every finding is fixed, or refuted in .ci/kube-score.txt (takes Go)
judge:
    #!/usr/bin/env bash
    set -euo pipefail
    version=v1.20.0
    judge=target/judges/$version/kube-score refuted=$(sed '/^#/d; /^$/d' .ci/kube-score.txt)
    [ -x "$judge" ] || GOBIN="$PWD/target/judges/$version" go install "github.com/zegl/kube-score/cmd/kube-score@$version"
    # Exits with 1 for what it finds; its status says nothing of what is refuted.
    score() { { "$judge" score --output-format ci --kubernetes-version v1.33 - || true; } | sed "s|^|$1: |"; }
    all=$(
        find tp8 -name '*.yaml' -printf '%h\n' | sort -u | while read -r folder; do
            for file in "$folder"/*.yaml; do echo ---; cat "$file"; done | score "$folder"
        done
        for file in examples/*.yaml; do
            scenario=${file#examples/}
            cargo run --locked --quiet -- gen "${scenario:0:2}" -f "$file" | score "$file"
        done
    )
    findings=$(grep -vE '^[^ ]+ \[(OK|SKIPPED)\] ' <<<"$all")
    if grep -vE "$refuted" <<<"$findings"; then echo "these findings are neither fixed nor refuted"; exit 1; fi
    while read -r line; do
        grep -qE -- "$line" <<<"$findings" || { echo "this refutes nothing: $line"; exit 1; }
    done <<<"$refuted"
    echo "$(wc -l <<<"$all") answers, $(wc -l <<<"$findings") findings, all refuted"

# The nodes have the image of tp8/Q2/Containerfile. PGK_NODE_OFF, PGK_NODE_ON, PGK_NODE_DELETE, PGK_NODE_CUT
# and PGK_NODE_HEAL are the commands that take nodes away and give them back, with {node} for the name;
# PGK_NODE_PART cuts {node} from {others} alone, PGK_CONTAINER_KILL kills {container} on {node}, PGK_API_OFF and
# PGK_API_ON make the API server hang and go on; tests/archive.rs says what PGK_S3 is. What has no command is
# skipped.
#
# The cluster tests, on the cluster of KUBECONFIG
cluster:
    cargo test --locked --test cluster --test apply --test changes --test drill --test promote --test restore --test archive -- --nocapture --test-threads 1

# The cluster tests several times over; what they measured goes to docs/proof/q1.txt
measure times="3":
    #!/usr/bin/env bash
    set -euo pipefail
    {
        . measure/common.sh
        heading "just measure {{times}}"
        for ((run = 1; run <= {{times}}; run++)); do
            echo "## run $run"
            just cluster 2>&1 | tee /dev/stderr | grep -oE '[a-z_]+: .*[0-9] (s|ms).*|^test result.*' || true
        done
    } >docs/proof/q1.txt

# With the commands of `just cluster`. `random` adds so many events at random; what is left of the arguments
# are settings (KEY=VALUE).
#
# Every failure of the primary (q2 or q3) so many times; the tables go to docs/proof/q2.txt or q3-failures.txt
failures scenario="q2" times="5" all_off="2" random="0" *settings="":
    #!/usr/bin/env bash
    set -euo pipefail
    bash measure/failures.sh {{scenario}} {{times}} {{all_off}} {{random}} {{settings}} | tee docs/proof/{{scenario}}-failures.txt

# The same for Q2 by restore, after a volume that is lost with so much data on it; to docs/proof/q2-restore.txt
restore gigabytes="1" random="30" *events="":
    #!/usr/bin/env bash
    set -euo pipefail
    bash measure/restore.sh {{gigabytes}} {{random}} {{events}} | tee docs/proof/q2-restore.txt

# PGK_S3 and the like: see there.
#
# What Q3 is to survive, to docs/proof/q3.txt
measure-q3 *rows="all":
    #!/usr/bin/env bash
    set -euo pipefail
    bash measure/q3.sh {{rows}} | tee docs/proof/q3.txt

# What a backup and a restore take, against pg_basebackup, to docs/proof/backup.txt
backup gigabytes="2":
    #!/usr/bin/env bash
    set -euo pipefail
    bash measure/backup.sh {{gigabytes}} | tee docs/proof/backup.txt

# PGK_NODE_LOSSY is the command that makes {node} lose packets.
#
# Q2 with starved CPUs, lost packets and a hanging API server: no failover may come of it
stress-q2 minutes="20":
    #!/usr/bin/env bash
    set -euo pipefail
    bash measure/stress.sh {{minutes}} | tee docs/proof/q2-stress.txt

# What replication costs, to docs/proof/pgbench.txt
pgbench seconds="30":
    #!/usr/bin/env bash
    set -euo pipefail
    bash measure/pgbench.sh {{seconds}} | tee docs/proof/pgbench.txt

# A binary that needs nothing of the machine it runs on, and runs on any Linux (x86-64; it takes `musl-gcc`, of the package musl-tools)
static:
    rustup target add x86_64-unknown-linux-musl
    CC_x86_64_unknown_linux_musl=musl-gcc cargo build --release --locked --target x86_64-unknown-linux-musl

# Render tp8/ again
tp8:
    cargo run --locked --quiet -- gen q1 -o tp8/Q1
    cargo run --locked --quiet -- gen q2 -o tp8/Q2
    cargo run --locked --quiet -- gen q2 --strategy restore -o tp8/Q2/restore
    cargo run --locked --quiet -- gen q3 -o tp8/Q3
    cargo run --locked --quiet -- gen q3 -f examples/q3-s3.yaml -o tp8/Q3/s3

# It takes a nightly toolchain and `cargo install cargo-fuzz`. What it finds is in fuzz/artifacts/TARGET, what it learnt in
# fuzz/corpus/TARGET.
#
# Fuzz a target (config, render or check) for so many seconds, from the files of the tests on
fuzz target seconds="600":
    #!/usr/bin/env bash
    set -euo pipefail
    case {{target}} in
        check) seeds=(fuzz/seeds/check tests/check tp8) ;;
        *) seeds=(fuzz/seeds/config examples tests/errors) ;;
    esac
    mkdir -p fuzz/corpus/{{target}}
    # pgk has no unsafe code for a sanitizer to watch.
    cargo +nightly fuzz run --sanitizer none {{target}} fuzz/corpus/{{target}} "${seeds[@]}" -- \
        -max_total_time={{seconds}} -max_len=16384 -timeout=10 -rss_limit_mb=2048

# Take what pgk prints now for right: snapshots and tp8/
accept: tp8
    INSTA_UPDATE=always cargo test --locked --test snapshots --test errors --test secret --test settings
