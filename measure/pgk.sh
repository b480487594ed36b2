#!/usr/bin/env bash
# What pgk promises that needs no cluster and takes too long for `just test`: measure/pgk.sh ROW... (or `all`)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
rows=(builds full-disk others)
[ "$*" = all ] || rows=("$@")

# Without the drill, on the oldest Rust, and as a static binary, which renders the same
builds() {
	local oldest static=target/x86_64-unknown-linux-musl/release/pgk
	oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
	cargo check --locked --all-targets --no-default-features
	rustup toolchain install --profile minimal "$oldest"
	cargo "+$oldest" check --locked --all-targets --target-dir "target/$oldest"
	just static
	! ldd "$static" 2>/dev/null | grep '=>' || fail 'it is not static'
	$pgk gen q3 >"$work/dynamic"
	"$static" gen q3 >"$work/static"
	cmp "$work/dynamic" "$work/static" || fail 'the static binary renders other bytes'
	figure "rust=$oldest" "static_mb=$(du -m "$static" | cut -f1)"
}

# The disk is full in the midst of 1,000 instances: a folder is there whole, or not at all
full-disk() {
	local each program whole
	program=$(realpath "$pgk")
	mkdir "$work/instances" "$work/disk"
	for each in {1001..2000}; do echo "name: i$each" >"$work/instances/i$each.yaml"; done
	pushd "$work" >/dev/null
	# shellcheck disable=SC2016
	unshare --user --map-root-user --mount bash -euc '
		mount -t tmpfs -o size=24m none disk
		status=0
		"$0" gen q1 -f instances -o disk/out >said 2>&1 || status=$?
		[ $status = 1 ] || { echo "the status is $status"; exit 1; }
		for each in $(ls -A disk/out); do
			cd "disk/out/$each"
			sha256sum --quiet --check .pgk-files || { echo "$each is not whole"; exit 1; }
			[ "$(ls -A | wc -l)" = "$(($(grep -c . .pgk-files) + 1))" ] || { echo "$each has more: $(ls -A)"; exit 1; }
			cd ../../..
		done
		ls -A disk/out | wc -l >whole' "$program" || fail 'see above'
	popd >/dev/null
	whole=$(<"$work/whole")
	((whole > 0 && whole < 1000)) || fail "$whole instances are there"
	figure "whole=$whole" "said=$(grep -m 1 error "$work/said")"
}

# What helm and kustomize make of mistakes that pgk refuses (the comparison in the documentation)
others() {
	local tools=$PWD/target/judges/others program
	program=$(realpath "$pgk")
	[ -x "$tools/helm" ] || GOBIN=$tools go install helm.sh/helm/v4/cmd/helm@v4.3.1
	[ -x "$tools/kustomize" ] || GOBIN=$tools go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.2
	PATH=$tools:$PATH
	mkdir -p "$work/chart/templates" "$work/folder"
	printf 'apiVersion: v2\nname: chart\nversion: 1.0.0\n' >"$work/chart/Chart.yaml"
	echo 'replicas: 2' >"$work/chart/values.yaml"
	cat >"$work/folder/deployment.yaml" <<-'YAML'
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: web}
		spec:
		  replicas: 2
		  selector: {matchLabels: {app: web}}
		  template:
		    metadata: {labels: {app: web}}
		    spec:
		      containers: [{name: web, image: "web:1"}]
		      volumes: [{name: config, configMap: {name: not-there}}]
	YAML
	printf 'resources: [deployment.yaml]\n' >"$work/folder/kustomization.yaml"
	cp "$work/folder/deployment.yaml" "$work/chart/templates/"
	try takes 'a missing ConfigMap' helm template "$work/chart"
	try takes 'a missing ConfigMap' kustomize build "$work/folder"
	try refuses 'a missing ConfigMap' "$program" check "$work/folder/deployment.yaml"
	sed -i 's/replicas: 2/replcas: 2/; /volumes:/d' "$work/folder/deployment.yaml"
	cp "$work/folder/deployment.yaml" "$work/chart/templates/"
	try takes 'a misspelt field' helm template "$work/chart"
	try takes 'a misspelt field' helm lint "$work/chart"
	try takes 'a misspelt field' kustomize build "$work/folder"
	try refuses 'a misspelt field' "$program" check "$work/folder/deployment.yaml"
	try takes 'a misspelt value' helm template "$work/chart" --set replcas=3
	try refuses 'a misspelt value' "$program" gen q1 --set replcas=3
	printf 'resources: [deployment.yaml]\npatches: [{patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {paused_: true}}"}]\n' >"$work/folder/kustomization.yaml"
	try takes 'a misspelt field in a patch' kustomize build "$work/folder"
	printf 'resurces: [deployment.yaml]\n' >"$work/folder/kustomization.yaml"
	try refuses 'a misspelt key' kustomize build "$work/folder"
	figure "helm=$(helm version --template '{{.Version}}')" "kustomize=$(kustomize version)"
}
# try takes|refuses WHAT COMMAND...
try() {
	local done=takes
	"${@:3}" >"$work/tried" 2>&1 || done=refuses
	[ $done = "$1" ] || fail "$3 $done $2: $(tail -n 1 "$work/tried")"
}

for row in "${rows[@]}"; do
	measuring="pgk $row"
	"$row"
done
