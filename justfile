# Every check that CI runs, by one command: `just check`, and with a cluster `just cluster`.

default:
    @just --list

# Format, lints, tests, licences: all that needs no cluster
check: fmt lint test deny

# Is the code formatted?
fmt:
    cargo fmt --check

# Clippy with the lints of Cargo.toml, with `pgk drill` and without, and the documentation's links
lint:
    cargo clippy --locked --all-targets -- --deny warnings
    cargo clippy --locked --all-targets --no-default-features -- --deny warnings
    RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --quiet

# PGK_TRY_ALL=1 makes an error of a tool that is missing; else the last lines say what was not tried for that.
#
# Unit tests, snapshots, errors, hostile values, shellcheck, tp8/
test:
    cargo test --locked

# FOLDER has that server's initdb, postgres, psql and pg_config. With PGK_POSTGRES_17 and PGK_POSTGRES_18 set to such folders,
# `cargo test --test catalogue` compares.
#
# Make the catalogue of a version's parameters again, from a server
catalogue version folder:
    python3 src/postgres/catalogue.py {{folder}} >target/catalogue.tsv
    mv target/catalogue.tsv src/postgres/{{version}}.tsv

# ARCHIVE is that of an image, as OCI lays it out, which has Debian's packages postgresql-17 and postgresql-18. It takes root.
#
# Does pgk take the parameters, and the values of each, that the servers take?
servers archive:
    measure/record.py servers bash measure/servers.sh {{archive}}

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

# The nodes have the image of tp8/Q2/Containerfile. These are the commands that break the cluster and make it whole
# again, with {node} for a node's name:
#   PGK_NODE_OFF, PGK_NODE_ON, PGK_NODE_DELETE  power it off, start it again, take it away with its disk
#   PGK_NODE_CUT, PGK_NODE_HEAL                 cut it from the network, connect it again
#   PGK_NODE_CUT_PEERS, PGK_NODE_CUT_API        cut it from {others} alone, from the API server alone
#   PGK_CONTAINER_KILL                          kill {container} on it
#   PGK_API_OFF, PGK_API_ON                     the API server hangs, goes on
#   PGK_S3, PGK_S3_OFF, PGK_S3_ON               print how S3 is reached (tests/cluster/archive.rs), take it away, and back
# PGK_POWER_CUT_LOSES is set where a node that is powered off loses what it had not synced. What is not set fails the tests that
# need it, but for those whose names PGK_ALLOW_UNTRIED has: of these, the run says "not tried". PGK_POLICIES=1 says that the cluster
# enforces NetworkPolicies, by itself or by `measure/enforce.py`; PGK_SETTINGS=KEY=VALUE,… is added to whatever is rendered, such as
# network-policy.enabled=true. How long an outage may be follows
# from docs/proof/medians.json; with PGK_MEASURE=1 it may be of any length, to be measured.
#
# The cluster tests (or those whose names contain FILTER), on the cluster of KUBECONFIG
cluster *filter:
    cargo test --locked --test cluster -- --ignored --nocapture --test-threads 1 --skip long:: {{filter}}

# What these measurements print is shown and kept whole by measure/record.py, in a new file in docs/proof/runs each time, also when
# they fail. `just figures` makes the tables of it. PGK_LAB, if it is set, is kept as what the cluster was begun with (`up 3 8G`).
#
# The cluster tests (or those whose names contain FILTER) several times over, all of them also when one fails
measure times="3" *filter:
    #!/usr/bin/env bash
    set -euo pipefail
    status=0
    for ((run = 1; run <= {{times}}; run++)); do
        PGK_MEASURE=1 measure/record.py cluster just cluster {{filter}} || status=1
    done
    exit $status

# With the commands of `just cluster`. What is no part of CI, as it takes long.
#
# The promises of tests/cluster/long.rs (or the tests whose names begin with FILTER)
long *filter:
    PGK_MEASURE=1 measure/record.py long cargo test --locked --test cluster -- --ignored --nocapture --test-threads 1 long::{{filter}}

# With the commands of `just cluster`. `random` adds so many events at random; what is left of the arguments
# are settings (KEY=VALUE).
#
# PGK_BULK=1 has a writer of some megabytes a transaction, too; the figures are then those of a variant of its own.
#
# Every failure of the primary (q2 or q3) so many times
failures scenario="q2" times="5" all_off="2" random="0" *settings="":
    measure/record.py failures-{{scenario}} bash measure/failures.sh {{scenario}} {{times}} {{all_off}} {{random}} {{settings}}

# PGK_BULK: see there.
#
# The same for Q2 by restore, after a volume that is lost with so much data on it
restore gigabytes="1" random="30" *events="":
    measure/record.py restore bash measure/restore.sh {{gigabytes}} {{random}} {{events}}

# PGK_S3 and the like: see there.
#
# What Q3 is to survive, row by row
measure-q3 *rows="all":
    measure/record.py q3 bash measure/q3.sh {{rows}}

# Besides the commands of `just cluster`:
#   PGK_NODE_FREEZE, PGK_NODE_THAW   the volumes of {node} hang, and go on
#   PGK_NODE_GROW                    they become {size} GB large
#   PGK_NODE_SLOW, PGK_NODE_FAST     what {node} sends takes 250 ms longer, and no longer does
#   PGK_NODE_POSTGRES                prints how many processes of {node} match `postgres -D`
#
# What happened to other people's databases, row by row
incidents *rows="all":
    measure/record.py incidents bash measure/incidents.sh {{rows}}

# What the store of Q2 by restore is to survive, row by row
store *rows="all":
    measure/record.py store bash measure/store.sh {{rows}}

# Where the seconds of a lost node go, in Q2, so many times (node-off or node-cut)
timeline times="10" event="node-off":
    measure/record.py timeline bash measure/timeline.sh {{times}} {{event}}

# Q1's readers while a replica's node is off, so many times
readers times="3":
    measure/record.py readers bash measure/readers.sh {{times}}

# Each command of shell in the READMEs under tp8/, in its order, as a reader pastes it (or of those folders)
readme *folders:
    measure/record.py readme python3 measure/readme.py {{folders}}

# What pgk promises that needs no cluster, and takes too long for `just test` (rows: builds, full-disk, others)
pgk *rows="all":
    measure/record.py pgk bash measure/pgk.sh {{rows}}

# The nodes need room for three times the data.
#
# Q3 with a large database under a steady load of 10 MB of WAL a second
large gigabytes="10":
    measure/record.py large bash measure/large.sh {{gigabytes}}

# What a backup and a restore take, against pg_basebackup
backup gigabytes="2":
    measure/record.py backup bash measure/backup.sh {{gigabytes}}

# PGK_NODE_LOSSY is the command that makes {node} lose packets.
#
# Q2 with starved CPUs, lost packets and a hanging API server: no failover may come of it
stress-q2 minutes="20":
    measure/record.py stress-q2 bash measure/stress.sh {{minutes}}

# What replication costs
pgbench seconds="30":
    measure/record.py pgbench bash measure/pgbench.sh {{seconds}}

# What the sizing of PostgreSQL's parameters gives, in so many runs of so many seconds without and with it
sizing seconds="60" times="3":
    measure/record.py sizing bash measure/sizing.sh {{seconds}} {{times}}

# Make the tables and figures of docs/proof and of the READMEs from docs/proof/runs, and tp8/ again (`just figures --check`: are they?)
figures *arguments:
    measure/figures.py {{arguments}}
    {{ if arguments == "" { "just tp8" } else { "" } }}

# A binary that needs nothing of the machine it runs on, and runs on any Linux (x86-64; it takes `musl-gcc`, of the package musl-tools)
static:
    rustup target add x86_64-unknown-linux-musl
    CC_x86_64_unknown_linux_musl=musl-gcc cargo build --release --locked --target x86_64-unknown-linux-musl

# Render tp8/ again
tp8:
    cargo run --locked --quiet -- gen q1 --force -o tp8/Q1
    cargo run --locked --quiet -- gen q2 --force -o tp8/Q2
    cargo run --locked --quiet -- gen q2 --strategy restore --force -o tp8/Q2/restore
    cargo run --locked --quiet -- gen q3 --force -o tp8/Q3
    cargo run --locked --quiet -- gen q3 -f examples/q3-s3.yaml --force -o tp8/Q3/s3

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

# Write the examples of all defaults again
examples:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --locked --quiet
    for scenario in q1 q2 q3; do
        rm -f "examples/$scenario.yaml" examples/pgk.schema.json
        target/debug/pgk init "$scenario" -o "examples/$scenario.yaml"
    done

# Take what pgk prints now for right: snapshots, examples and tp8/
accept: tp8 examples
    INSTA_UPDATE=always cargo test --locked --test snapshots --test errors --test secret --test settings --test check --test diff --test graph --test instances
