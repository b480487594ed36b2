//! One good set of manifests, and a table of what breaks it: one line of one document at a time.

use serde_json::{Value, json};

use super::object::Object;
use super::{External, Finding, check, typed};
use crate::render::Document;
use crate::yaml;

const EXTERNAL: External<'_> =
    External { secrets: &[("pg-credentials", &["superuser", "replication"])], outside: &[], others: false };

fn good() -> Vec<Document> {
    let sections = include_str!("good.yaml").split("--- # ").skip(1);
    let named = sections.map(|section| section.split_once('\n').expect("a name"));
    named.map(|(path, text)| Document { path: path.to_owned(), text: text.into() }).collect()
}

/// Asserts what is found once `before` is `after` in one document of the good set: a line a finding.
///
/// A line without a document is about the changed one; POD and JOB stand for the paths of a pod's spec.
#[track_caller]
fn case(path: &str, before: &str, after: &str, expected: &str) {
    let mut documents = good();
    let document = documents.iter_mut().find(|document| document.path == path).expect(path);
    let text = &document.text;
    assert_eq!(text.matches(before).count(), 1, "{before:?} must stand once in {path}");
    document.text = text.replace(before, after);
    let found = check(&documents, &EXTERNAL).into_iter().map(|finding| {
        let line = finding.to_string();
        let line = line.strip_prefix(&format!("{path}: ")).unwrap_or(&line);
        line.replace("spec.jobTemplate.spec.template.spec", "JOB").replace("spec.template.spec", "POD")
    });
    assert_eq!(found.collect::<Vec<_>>().join("\n"), expected, "{path}: {before:?} -> {after:?}");
}

/// A ConfigMap of one entry, `key: VALUE`.
fn of_value(value: &str) -> Vec<String> {
    let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  key: {value}\n");
    let document = Document { path: "a.yaml".to_owned(), text };
    check(&[document], &External::default()).iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_set_has_no_findings() {
    assert_eq!(check(&good(), &EXTERNAL), []);
    assert_eq!(check(&[], &External::default()), []);
}

#[test]
fn a_finding_is_data() {
    let finding =
        Finding { document: "a.yaml".into(), path: String::new(), message: "odd".into(), help: None };
    assert_eq!(finding.to_string(), "a.yaml: odd");
    assert_eq!(Finding { path: "spec".into(), ..finding }.to_string(), "a.yaml: spec: odd");
}

#[test]
fn what_kubectl_does_not_read_as_a_string_is_found() {
    for (value, read) in [
        ("on", "boolean `true`"),
        ("Off", "boolean `false`"),
        ("yes", "boolean `true`"),
        ("no", "boolean `false`"),
        ("y", "boolean `true`"),
        ("N", "boolean `false`"),
        ("0o17", "integer `15`"),
        ("017", "integer `15`"),
        ("08", "floating point `8.0`"),
        ("0x1f", "integer `31`"),
        ("0b11", "integer `3`"),
        ("1_000", "integer `1000`"),
        ("+1", "integer `1`"),
        ("1e3", "floating point `1000.0`"),
        ("1.10", "floating point `1.1`"),
        ("[]", "sequence"),
        ("{}", "map"),
    ] {
        let expected = format!("a.yaml: data.key: invalid type: {read}, expected a string");
        assert_eq!(of_value(value), [expected], "{value}");
    }
    for value in ["~", "null", ""] {
        assert_eq!(of_value(value), ["a.yaml: data.key: invalid type: null, expected a string"], "{value}");
    }
    for value in [".inf", "1e999"] {
        let expected = format!("a.yaml: `{value}` is not a finite number at line 6, column 8");
        assert_eq!(of_value(value), [expected]);
    }
    // Strings to kubectl as well, which reads neither base 60 nor dates.
    for value in ["12:30", "190:20:30", "2001-01-01", "\"on\"", "'017'", "!!str 5", "1.2.3", "|\n    on"] {
        assert_eq!(of_value(value), [] as [&str; 0], "{value}");
    }
    // Integers to kubectl, strings to serde-saphyr: a gap. Close it when this fails.
    for value in ["1_", "0X1F"] {
        assert_eq!(of_value(value), [] as [&str; 0], "{value}");
    }
}

#[test]
fn a_document_is_one_object_in_strict_yaml() {
    case("role.yaml", "rules:", "---\nrules:", "2 objects in a file meant for one");
    case(
        "account.yaml",
        "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: pg\n",
        "# empty\n",
        "0 objects in a file meant for one",
    );
    case("account.yaml", "  name: pg", "  name: pg\n  name: pg", "`name` is given twice at line 5, column 3");
    case(
        "scripts.yaml",
        "  version: ",
        "  on: ",
        "a key that reads as true, not as a string: quote it at line 8, column 3",
    );
    case("account.yaml", "v1", "v2", "no known kind of object: apiVersion \"v2\", kind \"ServiceAccount\"");
    case(
        "account.yaml",
        "kind: ServiceAccount\n",
        "",
        "no known kind of object: apiVersion \"v1\", kind \"\"",
    );
}

#[test]
fn a_field_must_be_known_present_and_of_its_type() {
    case("set.yaml", "livenessProbe:", "livenesProbe:", "POD.containers[0].livenesProbe: unknown field");
    case(
        "set.yaml",
        "  replicas: 2\n",
        "  replicas: two\n",
        "spec.replicas: invalid type: string \"two\", expected i32",
    );
    case(
        "set.yaml",
        "        - name: postgres\n          image",
        "        - image",
        "POD.containers[0].name: required field is missing",
    );
    case("pool.yaml", "emptyDir: {}", "emptyDir:", "POD.volumes[0].emptyDir: null: leave the field out");
    case(
        "set.yaml",
        "        - name: postgres\n          image",
        "        - name:\n          image",
        "POD.containers[0].name: null: leave the field out",
    );
    case(
        "pool.yaml",
        "port: pool",
        "port: 8.5",
        "POD.containers[0].readinessProbe.httpGet.port: invalid type: floating point `8.5`, expected \
        IntOrString",
    );
    // Both are reported, and neither hides the other.
    case(
        "set.yaml",
        "name: NOT_THERE\n",
        "name: off\n              value: 5\n",
        "POD.containers[0].env[2].name: invalid type: boolean `false`, expected a string\n\
        POD.containers[0].env[2].value: invalid type: integer `5`, expected a string",
    );
    case(
        "set.yaml",
        "resources:\n            requests:",
        "resources:\n            - requests:",
        "POD.containers[0].resources: invalid type: sequence, expected ResourceRequirements",
    );
    case(
        "scripts.yaml",
        "'on'",
        "on",
        "metadata.annotations[\"pgk.example.com/note\"]: invalid type: boolean `true`, expected a string",
    );
    case(
        "account.yaml",
        "  name: pg",
        "  name: pg\n  creationTimestamp: 2026-01-01T02:00:00+02:00",
        "metadata.creationTimestamp: \"2026-01-01T02:00:00+02:00\" is understood as \"2026-01-01T00:00:00Z\"",
    );
    // Argo CD would see a difference for ever.
    case(
        "set.yaml",
        "    - apiVersion: v1\n      kind: PersistentVolumeClaim\n      metadata:",
        "    - metadata:",
        "spec.volumeClaimTemplates[0].apiVersion: required field is missing\n\
        spec.volumeClaimTemplates[0].kind: required field is missing",
    );
    case(
        "set.yaml",
        "kind: PersistentVolumeClaim",
        "kind: Claim",
        "spec.volumeClaimTemplates[0].kind: invalid value: string \"Claim\", expected PersistentVolumeClaim",
    );
    case(
        "pool.yaml",
        "            volumeClaimTemplate:\n",
        "            volumeClaimTemplate:\n              kind: X\n",
        "POD.volumes[1].ephemeral.volumeClaimTemplate.kind: unknown field",
    );
}

#[test]
fn names_labels_and_annotations_have_their_syntax() {
    let long = "x".repeat(64);
    case(
        "role.yaml",
        "name: pg",
        "labels: {}",
        "metadata.name: required field is missing\n\
        binding.yaml: roleRef.name: no Role named \"pg\" is among the manifests",
    );
    case("policy.yaml", "name: pg", "name: Pg", "metadata.name: \"Pg\" is not an RFC 1123 subdomain");
    case("policy.yaml", "name: pg", "name: pg.", "metadata.name: \"pg.\" is not an RFC 1123 subdomain");
    case("policy.yaml", "name: pg", "name: 7.pg", "");
    case("free.yaml", "outside", "7up", "metadata.name: \"7up\" is not an RFC 1035 label");
    case("free.yaml", "outside", "a.b", "metadata.name: \"a.b\" is not an RFC 1035 label");
    case(
        "binding.yaml",
        "name: pg\nroleRef",
        "name: a/b\nroleRef",
        "metadata.name: \"a/b\" is not a path segment",
    );
    case(
        "policy.yaml",
        "name: pg",
        "name: pg\n  labels: {-a: b, c: -d, e.f/g: ''}",
        "metadata.labels.-a: not a valid key\nmetadata.labels.c: \"-d\" is not a valid label",
    );
    case("scripts.yaml", "pgk.example.com/note", "a/b/c", "metadata.annotations[\"a/b/c\"]: not a valid key");
    case(
        "set.yaml",
        "      labels:\n",
        &format!("      labels:\n        a: {long}\n"),
        &format!("spec.template.metadata.labels.a: \"{long}\" is not a valid label"),
    );
}

#[test]
fn objects_are_of_one_namespace_and_each_name_is_one_object() {
    case(
        "free.yaml",
        "name: outside",
        "name: pg-rw",
        "metadata.name: rw.yaml also has a Service of this name",
    );
    case(
        "free.yaml",
        "name: outside",
        "name: outside\n  namespace: other",
        "metadata.namespace: \"other\", but account.yaml is in \"\"",
    );
    case(
        "free.yaml",
        "kind: Service\nmetadata:\n  name: outside\nspec:\n  ports:\n    - port: 1\n",
        "kind: Namespace\nmetadata:\n  name: db\n",
        "",
    );
}

#[test]
fn what_is_named_exists() {
    case(
        "set.yaml",
        "serviceAccountName: pg",
        "serviceAccountName: pgs",
        "POD.serviceAccountName: no ServiceAccount named \"pgs\" is among the manifests",
    );
    case("set.yaml", "serviceAccountName: pg", "serviceAccountName: default", "");
    case(
        "binding.yaml",
        "kind: Role\n",
        "kind: ClusterRole\n",
        "roleRef.name: no ClusterRole named \"pg\" is among the manifests",
    );
    case("binding.yaml", "kind: Role\n  name: pg", "kind: ClusterRole\n  name: view", "");
    case(
        "binding.yaml",
        "Account\n    name: pg",
        "Account\n    name: pgs",
        "subjects[0].name: no ServiceAccount named \"pgs\" is among the manifests",
    );
    case(
        "set.yaml",
        "serviceName: pg",
        "serviceName: pgs",
        "spec.serviceName: no Service named \"pgs\" is among the manifests",
    );
    case(
        "backup.yaml",
        "claimName: copies",
        "claimName: copy",
        "JOB.volumes[0].persistentVolumeClaim.claimName: no PersistentVolumeClaim named \"copy\" is among \
        the manifests",
    );
    case(
        "backup.yaml",
        "claimName: data-pg-0",
        "claimName: data-pg",
        "JOB.volumes[1].persistentVolumeClaim.claimName: no PersistentVolumeClaim named \"data-pg\" is \
        among the manifests",
    );
}

#[test]
fn config_maps_and_secrets_have_the_keys_that_are_read() {
    case(
        "set.yaml",
        "secretRef:\n                name: pg-credentials",
        "secretRef:\n                name: pgc",
        "POD.initContainers[0].envFrom[0].secretRef.name: no Secret named \"pgc\" is among the manifests",
    );
    case(
        "set.yaml",
        "secretRef:\n                name: pg-credentials",
        "configMapRef:\n                name: pgc",
        "POD.initContainers[0].envFrom[0].configMapRef.name: no ConfigMap named \"pgc\" is among the \
        manifests",
    );
    case(
        "set.yaml",
        "key: superuser",
        "key: root",
        "POD.containers[0].env[0].valueFrom.secretKeyRef.key: Secret \"pg-credentials\" has no key \"root\"",
    );
    case(
        "set.yaml",
        "key: version\n            -",
        "key: versions\n            -",
        "POD.containers[0].env[1].valueFrom.configMapKeyRef.key: ConfigMap \"pg-scripts\" has no key \
        \"versions\"",
    );
    case(
        "set.yaml",
        "optional: true",
        "optional: false",
        "POD.containers[0].env[2].valueFrom.secretKeyRef.name: no Secret named \"perhaps\" is among the \
        manifests",
    );
    case(
        "set.yaml",
        "- key: version\n",
        "- key: versions\n",
        "POD.volumes[1].configMap.items[0].key: ConfigMap \"pg-scripts\" has no key \"versions\"",
    );
    case(
        "set.yaml",
        "- key: replication\n",
        "- key: standby\n",
        "POD.volumes[2].projected.sources[0].secret.items[0].key: Secret \"pg-credentials\" has no key \
        \"standby\"",
    );
    case(
        "set.yaml",
        "              - secret:\n",
        "              - configMap: {name: none}\n              - secret:\n",
        "POD.volumes[2].projected.sources[0].configMap.name: no ConfigMap named \"none\" is among the \
        manifests",
    );
    case(
        "pool.yaml",
        "emptyDir: {}",
        "secret: {secretName: none}",
        "POD.volumes[0].secret.secretName: no Secret named \"none\" is among the manifests",
    );
    case(
        "pool.yaml",
        "emptyDir: {}",
        "configMap: {name: none}",
        "POD.volumes[0].configMap.name: no ConfigMap named \"none\" is among the manifests",
    );
    case("pool.yaml", "emptyDir: {}", "secret: {secretName: none, optional: true}", "");
}

#[test]
fn services_select_pods_with_their_ports() {
    case("rw.yaml", "app: pg", "app: pgs", "spec.selector: no pod template carries these labels");
    case("rw.yaml", "role: primary", "role: leader", "spec.selector: no pod template carries these labels");
    case(
        "rw.yaml",
        "targetPort: postgres",
        "targetPort: pg",
        "spec.ports[0].targetPort: StatefulSet/pg has no port named \"pg\"",
    );
    case(
        "headless.yaml",
        "targetPort: postgres",
        "targetPort: pg",
        "spec.ports[0].targetPort: StatefulSet/pg has no port named \"pg\"",
    );
    case(
        "headless.yaml",
        "- name: metrics\n      port",
        "- port",
        "spec.ports[1].name: needed when there are several ports",
    );
    case(
        "headless.yaml",
        "name: metrics",
        "name: postgres",
        "spec.ports[1].name: another port has this name",
    );
    // Every template must have the port, also that of a job which only carries the label by mistake.
    case(
        "backup.yaml",
        "app: backup",
        "app: pg",
        "headless.yaml: spec.ports[0].targetPort: CronJob/backup has no port named \"postgres\"",
    );
    // A template that fixes its role won't get another one. The Service and the budget both ask for one.
    case(
        "set.yaml",
        "labels:\n        app: pg",
        "labels:\n        app: pg\n        role: primary",
        "budget.yaml: spec.selector: selects no pod template",
    );
    case(
        "set.yaml",
        "labels:\n        app: pg",
        "labels:\n        app: pg\n        role: replica",
        "rw.yaml: spec.selector: no pod template carries these labels",
    );
}

#[test]
fn workloads_budgets_policies_and_spreads_select_pods() {
    case(
        "pool.yaml",
        "labels:\n        app: pool",
        "labels:\n        app: pools",
        "spec.selector.matchLabels.app: the pod template lacks this label",
    );
    case(
        "pool.yaml",
        "selector:\n    matchLabels:\n      app: pool\n",
        "selector: {}\n",
        "spec.selector: selects every pod\n\
        set.yaml: spec.template.metadata.labels: selected by StatefulSet/pg and Deployment/pool",
    );
    case("pool.yaml", "labels:\n        app: pool", "labels:\n        app: pool\n        tier: db", "");
    case(
        "set.yaml",
        "    matchLabels:\n      app: pg\n  template",
        "    matchExpressions:\n      - {key: app, operator: Exists}\n  template",
        "pool.yaml: spec.template.metadata.labels: selected by StatefulSet/pg and Deployment/pool",
    );
    case("budget.yaml", "app: pg", "app: pgs", "spec.selector: selects no pod template");
    case("policy.yaml", "app: pg", "app: pgs", "spec.podSelector: selects no pod template");
    case(
        "set.yaml",
        "matchLabels:\n                  app: pg",
        "matchLabels:\n                  app: pgs",
        "POD.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: \
        selects no pod template",
    );
    case(
        "set.yaml",
        "              labelSelector:\n                matchLabels:\n                  app: pg",
        "              namespaces: [x]\n              labelSelector:\n                matchLabels:\n\
        \x20                 app: pgs",
        "",
    );
    case(
        "pool.yaml",
        "      containers:\n",
        "      affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, \
        podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {app: x}}}}]}}\n      containers:\n",
        "POD.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]\
        .podAffinityTerm.labelSelector: selects no pod template",
    );
    case(
        "set.yaml",
        "values: [pg]",
        "values: [pgs]",
        "POD.topologySpreadConstraints[0].labelSelector: selects no pod template",
    );
    case("set.yaml", "operator: In", "operator: NotIn", "");
    // the pool
    case(
        "set.yaml",
        "operator: In\n                values: [pg]",
        "operator: DoesNotExist",
        "POD.topologySpreadConstraints[0].labelSelector: selects no pod template",
    );
}

/// What a Service leads to is let in by some policy.
#[test]
fn policies_cut_no_link() {
    let cut = |number: u16, service: &str| {
        format!(
            "spec.ingress: no policy lets anybody in to TCP port {number} of StatefulSet/pg, \
            which Service/{service} leads to"
        )
    };
    let both = [cut(5432, "pg"), cut(5432, "pg-rw")].join("\n");
    let case = |before, after, expected: &str| case("policy.yaml", before, after, expected);
    case("\n        - port: 9187", "", &cut(9187, "pg"));
    case("- port: 5432", "- {port: 5432, protocol: UDP}", &both);
    case("- port: 5432", "- {protocol: UDP}", &both);
    case("- port: 5432", "- {port: 5000, endPort: 5431}", &both);
    case("- port: 5432", "- {port: 5000, endPort: 5432}", "");
    case("- port: 5432", "- {protocol: TCP}", "");
    case("- port: 5432", "- port: postgres", "");
    let unknown =
        "spec.ingress[0].ports[0].port: no pod that it selects has a TCP port named \"pg\"".to_owned();
    case("- port: 5432", "- port: pg", &[unknown, both.clone()].join("\n"));
    // Who that is may be elsewhere; but somebody it is.
    case("- ports:", "- from: [{podSelector: {matchLabels: {app: x}}}]\n      ports:", "");
    let none = [cut(5432, "pg"), cut(9187, "pg"), cut(5432, "pg-rw")].join("\n");
    case("ingress:\n    - ports:\n        - port: 5432\n        - port: 9187", "ingress: []", &none);
    case("ingress:\n    - ports:\n        - port: 5432\n        - port: 9187", "policyTypes: [Egress]", "");

    // Policies add up; where something may be that is not known, nothing is said of what they leave out.
    let mut documents = good();
    let policy = documents.iter_mut().find(|document| document.path == "policy.yaml").unwrap();
    let allows = policy.text.clone();
    policy.text = allows.replace("- port: 9187", "- port: 1").replace("- port: 5432", "- port: 2");
    assert_eq!(check(&documents, &EXTERNAL).len(), 3);
    assert_eq!(check(&documents, &External { others: true, ..EXTERNAL }), []);
    let path = "more.yaml".to_owned();
    documents.push(Document { path, text: allows.replace("name: pg", "name: more") });
    assert_eq!(check(&documents, &EXTERNAL), []);
    // No pods at all: they come from elsewhere.
    let alone = documents.pop().unwrap();
    assert_eq!(check(&[alone], &External::default()), []);
}

#[test]
fn volumes_are_mounted_and_mounts_have_a_volume() {
    case(
        "set.yaml",
        "- name: secrets\n              mountPath",
        "- name: secret\n              mountPath",
        "POD.containers[0].volumeMounts[2].name: the pod has no volume named \"secret\"\n\
        POD.volumes[2]: no container mounts \"secrets\"",
    );
    case(
        "set.yaml",
        "        name: data\n",
        "        name: storage\n",
        "POD.initContainers[0].volumeMounts[1].name: the pod has no volume named \"data\"\n\
        POD.containers[0].volumeMounts[1].name: the pod has no volume named \"data\"\n\
        spec.volumeClaimTemplates[0]: no container mounts \"storage\"\n\
        backup.yaml: JOB.volumes[1].persistentVolumeClaim.claimName: no PersistentVolumeClaim named \
        \"data-pg-0\" is among the manifests",
    );
    case(
        "pool.yaml",
        "emptyDir: {}\n",
        "emptyDir: {}\n        - {name: cache, emptyDir: {}}\n",
        "POD.volumes[2]: another volume is named \"cache\"",
    );
    case(
        "set.yaml",
        "        - name: secrets\n          projected",
        "        - {name: data, emptyDir: {}}\n        - name: secrets\n          projected",
        "POD.volumes[2]: another volume is named \"data\"",
    );
    case(
        "pool.yaml",
        "mountPath: /cache",
        "mountPath: /run/",
        "POD.containers[0].volumeMounts[1].mountPath: another volume is mounted here",
    );
    case(
        "set.yaml",
        "subPath: pgdata",
        "subPath: /pgdata",
        "POD.containers[0].volumeMounts[1].subPath: \"/pgdata\" is not a path below the volume: no / first, no ..",
    );
    case(
        "set.yaml",
        "subPath: pgdata",
        "subPath: a/../b",
        "POD.containers[0].volumeMounts[1].subPath: \"a/../b\" is not a path below the volume: no / first, no ..",
    );
    case(
        "set.yaml",
        "subPath: major",
        "subPath: version",
        "POD.containers[0].volumeMounts[3].subPath: the volume has no file \"version\"",
    );
}

#[test]
fn names_are_unique_in_a_pod_and_handlers_find_their_port() {
    case(
        "set.yaml",
        "- name: clone",
        "- name: postgres",
        "POD.containers[0].name: another container has this name",
    );
    case(
        "set.yaml",
        "          readinessProbe:",
        "            - {name: postgres, containerPort: 1}\n          readinessProbe:",
        "POD.containers[0].ports[1].name: another port has this name",
    );
    case(
        "set.yaml",
        "port: postgres\n          lifecycle",
        "port: pg\n          lifecycle",
        "POD.containers[0].livenessProbe.tcpSocket.port: the container has no port named \"pg\"",
    );
    case(
        "pool.yaml",
        "port: pool",
        "port: pol",
        "POD.containers[0].readinessProbe.httpGet.port: the container has no port named \"pol\"",
    );
    case(
        "set.yaml",
        "exec:\n                command: [sh, -ec, 'exec pg_ctl stop']",
        "httpGet: {port: api}",
        "POD.containers[0].lifecycle.preStop.httpGet.port: the container has no port named \"api\"",
    );
}

#[test]
fn scripts_that_are_run_are_in_their_volume() {
    // A file from another volume, mounted among the scripts.
    case(
        "set.yaml",
        "mountPath: /etc/version\n              subPath: major\n",
        "mountPath: /etc/pgk/scripts/new.sh\n              subPath: major\n\
        \x20         args: [/etc/pgk/scripts/new.sh]\n",
        "",
    );
    case(
        "set.yaml",
        "command: [/etc/pgk/scripts/primary.sh]",
        "command: [/etc/pgk/scripts/main.sh]",
        "POD.containers[0].command[0]: the volume mounted there has no file \"main.sh\"",
    );
    case(
        "set.yaml",
        "'/etc/pgk/scripts/primary.sh; exit'",
        "'/etc/pgk/scripts/main.sh; exit'",
        "POD.initContainers[0].command[2]: the volume mounted there has no file \"main.sh\"",
    );
    case(
        "set.yaml",
        "command: [/etc/pgk/scripts/primary.sh]",
        "args: [/etc/pgk/scripts/primary]",
        "POD.containers[0].args[0]: the volume mounted there has no file \"primary\"",
    );
    case(
        "set.yaml",
        "ready.sh, '5'",
        "readiness.sh",
        "POD.containers[0].readinessProbe.exec.command[0]: the volume mounted there has no file \
        \"readiness.sh\"",
    );
    case(
        "set.yaml",
        "'exec pg_ctl stop'",
        "/etc/pgk/scripts/stop.sh",
        "POD.containers[0].lifecycle.preStop.exec.command[2]: the volume mounted there has no file \
        \"stop.sh\"",
    );
    case(
        "set.yaml",
        "'exec pg_ctl stop'",
        "/etc/pgk/secrets/superuser",
        "POD.containers[0].lifecycle.preStop.exec.command[2]: the volume mounted there has no file \
        \"superuser\"",
    );
    case("set.yaml", "'exec pg_ctl stop'", "/etc/pgk/scripts/$SCRIPT", "");
    case("set.yaml", "'exec pg_ctl stop'", "/etc/pgk/scripts/", "");
    case("set.yaml", "'exec pg_ctl stop'", "/var/lib/postgresql/any", "");
    case(
        "scripts.yaml",
        "  ready.sh:",
        "  readiness.sh:",
        "set.yaml: POD.containers[0].readinessProbe.exec.command[0]: the volume mounted there has no file \
        \"ready.sh\"",
    );
}

/// The good objects that the tests on a cluster change, of which the API server says the same.
fn valid() -> Vec<Value> {
    yaml::parse(include_str!("../../tests/cluster/validation.yaml")).expect("YAML")
}

/// The findings in one object, one per line.
fn alone(tree: Value) -> String {
    let mut findings = Vec::new();
    typed::check(&mut Object::new("a.yaml", String::new(), tree, true), &mut findings);
    let lines = findings.into_iter().map(|Finding { path, message, help, .. }| {
        format!("{path}: {message}{}", help.map(|help| format!(" ({help})")).unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn good_objects_are_valid() {
    for object in valid() {
        assert_eq!(alone(object.clone()), "", "{object}");
    }
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn what_the_api_server_refuses_is_found() {
    const C: &str = "/spec/containers/0";
    let c = |rest: &str| format!("{C}{rest}");
    let long = "x".repeat(64);
    for (kind, place, value, expected) in [
        (
            "Pod",
            "/metadata/namespace".to_owned(),
            json!("a.b"),
            "metadata.namespace: \"a.b\" is not an RFC 1123 label",
        ),
        (
            "CronJob",
            "/metadata/name".to_owned(),
            json!("x".repeat(53)),
            "metadata.name: a CronJob's name has at most 52 characters",
        ),
        (
            "StatefulSet",
            "/metadata/name".to_owned(),
            json!("a.b"),
            "metadata.name: \"a.b\" is not an RFC 1123 label",
        ),
        ("PodDisruptionBudget", "/metadata/name".to_owned(), json!("a:b"), ""),
        ("Pod", c("/name"), json!("C_x"), "spec.containers[0].name: \"C_x\" is not an RFC 1123 label"),
        ("Pod", c("/image"), json!(""), "spec.containers[0].image: required field is empty"),
        ("Pod", c("/image"), Value::Null, "spec.containers[0].image: required field is missing"),
        ("Pod", "/spec/containers".to_owned(), json!([]), "spec.containers: required field is empty"),
        (
            "Pod",
            c("/imagePullPolicy"),
            json!("Sometimes"),
            "spec.containers[0].imagePullPolicy: \"Sometimes\" is none of Always, IfNotPresent, Never",
        ),
        (
            "Pod",
            c("/ports/0/name"),
            json!("a-port-of-twenty-one"),
            "spec.containers[0].ports[0].name: \"a-port-of-twenty-one\" is not a port's name: at most 15 of a-z, 0-9 and -, a letter among them",
        ),
        (
            "Pod",
            c("/ports/0/containerPort"),
            json!(99999),
            "spec.containers[0].ports[0].containerPort: 99999 is not from 1 to 65535",
        ),
        (
            "Pod",
            c("/resources/limits/memory"),
            json!("1GB"),
            "spec.containers[0].resources.limits.memory: \"1GB\" is not a quantity, such as 500m, 512Mi or 8Gi",
        ),
        (
            "Pod",
            c("/resources/limits/memory"),
            json!("-1"),
            "spec.containers[0].resources.limits.memory: \"-1\" is below 0\nspec.containers[0].resources.requests.memory: \"256Mi\" is more than the limit, \"-1\"",
        ),
        (
            "Pod",
            c("/resources/limits/memory"),
            json!("1e3"),
            "spec.containers[0].resources.requests.memory: \"256Mi\" is more than the limit, \"1e3\"",
        ),
        (
            "Pod",
            c("/resources/requests/cpu"),
            json!(2),
            "spec.containers[0].resources.requests.cpu: \"2\" is more than the limit, \"1\"",
        ),
        (
            "Pod",
            c("/resources/limits"),
            json!({"gpu": 1}),
            "spec.containers[0].resources.limits.gpu: the key is not cpu, memory, ephemeral-storage, hugepages-SIZE or example.com/name\nspec.containers[0].resources.requests[\"example.com/device\"]: the limit of the same amount is missing",
        ),
        (
            "Pod",
            c("/env/0/valueFrom"),
            json!({"fieldRef": {"fieldPath": "spec.nodeName"}}),
            "spec.containers[0].env[0]: only one of value, valueFrom can be there",
        ),
        (
            "Pod",
            c("/env/1/valueFrom"),
            json!({}),
            "spec.containers[0].env[1].valueFrom: one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef is needed",
        ),
        (
            "Pod",
            c("/env/2/valueFrom/configMapKeyRef/key"),
            json!("a/b"),
            "spec.containers[0].env[2].valueFrom.configMapKeyRef.key: \"a/b\" is not a key: A-Z, a-z, 0-9, -, _ and .",
        ),
        (
            "Pod",
            c("/livenessProbe/successThreshold"),
            json!(2),
            "spec.containers[0].livenessProbe.successThreshold: 2 is not from 0 to 1",
        ),
        (
            "Pod",
            c("/livenessProbe/periodSeconds"),
            json!(-1),
            "spec.containers[0].livenessProbe.periodSeconds: -1 is less than 0",
        ),
        (
            "Pod",
            c("/livenessProbe/exec"),
            json!({"command": ["x"]}),
            "spec.containers[0].livenessProbe: only one of exec, httpGet can be there",
        ),
        (
            "Pod",
            c("/readinessProbe/terminationGracePeriodSeconds"),
            json!(1),
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: is not for a readiness probe",
        ),
        (
            "Pod",
            c("/lifecycle/preStop/httpGet/port"),
            json!("80"),
            "spec.containers[0].lifecycle.preStop.httpGet.port: \"80\" is not a port's name: at most 15 of a-z, 0-9 and -, a letter among them",
        ),
        (
            "Pod",
            "/spec/initContainers/0/readinessProbe".to_owned(),
            json!({"exec": {"command": ["x"]}}),
            "spec.initContainers[0].readinessProbe: an init container ends: this is for those with restartPolicy Always",
        ),
        (
            "Pod",
            "/spec/volumes/0/hostPath".to_owned(),
            json!({"path": "/a"}),
            "spec.volumes[0]: only one of emptyDir, hostPath can be there",
        ),
        (
            "Pod",
            "/spec/tolerations/1/operator".to_owned(),
            json!("Equal"),
            "spec.tolerations[1].operator: without a key, it is Exists",
        ),
        (
            "Pod",
            "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/weight"
                .to_owned(),
            json!(0),
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: 0 is not from 1 to 100",
        ),
        ("Deployment", "/spec/replicas".to_owned(), json!(-1), "spec.replicas: -1 is less than 0"),
        (
            "Deployment",
            "/spec/template/spec/restartPolicy".to_owned(),
            json!("Never"),
            "spec.template.spec.restartPolicy: \"Never\", but the pods of a Deployment run for ever: Always",
        ),
        (
            "Deployment",
            "/spec/strategy/type".to_owned(),
            json!("Recreate"),
            "spec.strategy.rollingUpdate: is for the type RollingUpdate",
        ),
        (
            "Deployment",
            "/spec/strategy/rollingUpdate/maxSurge".to_owned(),
            json!("half"),
            "spec.strategy.rollingUpdate.maxSurge: \"half\" is not a number, or a percentage such as 25%",
        ),
        (
            "Job",
            "/spec/template/spec/restartPolicy".to_owned(),
            Value::Null,
            "spec.template.spec.restartPolicy: required field is missing",
        ),
        (
            "CronJob",
            "/spec/schedule".to_owned(),
            json!("99 * * * *"),
            "spec.schedule: \"99 * * * *\" is not a schedule such as `0 1 * * 1-6`",
        ),
        ("Service", "/spec/ports".to_owned(), json!([]), "spec.ports: required field is missing"),
        (
            "Service",
            "/spec/ports/1/port".to_owned(),
            json!(0),
            "spec.ports[1].port: 0 is not from 1 to 65535",
        ),
        (
            "Service",
            "/spec/type".to_owned(),
            json!("ClusterIP"),
            "spec.externalTrafficPolicy: is for the types NodePort and LoadBalancer",
        ),
        (
            "ConfigMap",
            "/data/a~1b".to_owned(),
            json!("x"),
            "data[\"a/b\"]: the key is not of A-Z, a-z, 0-9, -, _ and .",
        ),
        ("ConfigMap", "/data/image".to_owned(), json!("x"), "data.image: binaryData has this key too"),
        (
            "Secret",
            "/stringData".to_owned(),
            Value::Null,
            "data[\"tls.key\"]: a Secret of type kubernetes.io/tls needs this key",
        ),
        (
            "PersistentVolumeClaim",
            "/spec/accessModes".to_owned(),
            json!(["ReadWriteTwice"]),
            "spec.accessModes[0]: \"ReadWriteTwice\" is none of ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod",
        ),
        (
            "PersistentVolumeClaim",
            "/spec/resources/requests/storage".to_owned(),
            json!("0"),
            "spec.resources.requests.storage: \"0\" is not above 0",
        ),
        (
            "PodDisruptionBudget",
            "/spec/minAvailable".to_owned(),
            json!(1),
            "spec: only one of minAvailable, maxUnavailable can be there",
        ),
        (
            "NetworkPolicy",
            "/spec/ingress/0/from/2/ipBlock/cidr".to_owned(),
            json!("10.0.0.0"),
            "spec.ingress[0].from[2].ipBlock.cidr: \"10.0.0.0\" is not a range of addresses such as 10.0.0.0/8",
        ),
        (
            "HorizontalPodAutoscaler",
            "/spec/minReplicas".to_owned(),
            json!(5),
            "spec.maxReplicas: 3 is less than minReplicas, 5",
        ),
        ("Role", "/rules/0/verbs".to_owned(), json!([]), "rules[0].verbs: required field is empty"),
        (
            "RoleBinding",
            "/roleRef/kind".to_owned(),
            json!("Group"),
            "roleRef.kind: \"Group\" is none of Role, ClusterRole",
        ),
        (
            "StorageClass",
            "/reclaimPolicy".to_owned(),
            json!("Keep"),
            "reclaimPolicy: \"Keep\" is none of Retain, Delete",
        ),
        // Fields of no kind, with what was meant.
        (
            "Pod",
            c("/readinesProbe"),
            json!({}),
            "spec.containers[0].readinesProbe: unknown field (did you mean `readinessProbe`?)",
        ),
        ("Pod", c("/xyz"), json!({}), "spec.containers[0].xyz: unknown field"),
        (
            "Pod",
            "/metadata/Labels".to_owned(),
            json!({}),
            "metadata.Labels: unknown field (did you mean `labels`?)",
        ),
        ("Pod", "/Spec".to_owned(), json!({}), "Spec: unknown field (did you mean `spec`?)"),
        (
            "Pod",
            "/metadata/labels".to_owned(),
            json!("app:web"),
            "metadata.labels: invalid type: string \"app:web\", expected a map (did you mean `app: web`, with a space after the colon?)",
        ),
        // Helm leaves much of it empty, and the API server takes it.
        ("Pod", "/metadata/labels".to_owned(), Value::Null, ""),
        ("Pod", "/metadata/annotations/note".to_owned(), Value::Null, ""),
        ("Pod", "/spec/nodeSelector".to_owned(), Value::Null, ""),
        ("Pod", c("/securityContext"), Value::Null, ""),
        ("ConfigMap", "/data".to_owned(), Value::Null, ""),
        ("ConfigMap", "/data/nothing".to_owned(), Value::Null, ""),
        ("Pod", c("/name"), Value::Null, "spec.containers[0].name: required field is missing"),
        ("Pod", c("/xyz"), Value::Null, "spec.containers[0].xyz: unknown field"),
        ("Pod", "/metadata/annotations/A.b~1c".to_owned(), json!("x"), ""),
        (
            "Pod",
            "/metadata/labels/app".to_owned(),
            json!(long),
            &*format!("metadata.labels.app: \"{long}\" is not a valid label"),
        ),
    ] {
        let mut object = valid().into_iter().find(|object| object["kind"] == kind).expect(kind);
        let (parent, key) = place.rsplit_once('/').expect("a path");
        match object.pointer_mut(parent).expect(parent) {
            Value::Object(map) => drop(map.insert(key.replace("~1", "/"), value.clone())),
            Value::Array(list) => list[key.parse::<usize>().expect("a number")] = value.clone(),
            _ => panic!("{parent} is a scalar"),
        }
        assert_eq!(alone(object), expected, "{kind} {place} {value}");
    }
}

/// Kubernetes' own groups are known, with their kinds; those of others are not.
#[test]
fn kinds_of_kubernetes_are_told_from_others() {
    for (api_version, kind, foreign) in [
        ("rbac.authorization.k8s.io/v1", "Role", false),
        ("rbac.authorization.k8s.io/v1beta1", "Role", false),
        ("networking.k8s.io/v1", "Ingres", false),
        ("policy.k8s.io/v1", "PodDisruptionBudget", false),
        ("apps/v2", "Deployment", false),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", true),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshot", true),
        ("serving.knative.dev/v1", "Service", true),
        ("a.b/v1", "", false),
    ] {
        assert_eq!(super::object::is_foreign_kind(api_version, kind), foreign, "{api_version} {kind}");
    }
    let meant = super::object::meant_kind;
    assert_eq!(
        meant("events.k8s.io/v1beta1", "Event").unwrap(),
        "apiVersion `events.k8s.io/v1`, kind `Event`"
    );
    assert_eq!(
        meant("policy/v1beta1", "poddisruptionbudget").unwrap(),
        "apiVersion `policy/v1`, kind `PodDisruptionBudget`"
    );
    assert_eq!(meant("policy/v1", "Xyz"), None);
}
