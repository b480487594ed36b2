//! Every example rendered, and what is checked in under `tp8/`. A new file in `examples/` is a new test;
//! its name starts with its scenario's. `just accept` takes the output as it is now for right.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use support::{ARCHIVES, config_files, pgk_stdout};

/// The name of a file without its ending.
fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn examples_render_as_before() {
    insta::glob!("..", "examples/*.yaml", |path| {
        let name = stem(path);
        let scenario = name.split('-').next().expect("a scenario");
        insta::assert_snapshot!(pgk_stdout(["gen", scenario, "-f", path.to_str().expect("UTF-8")]));
    });
}

/// What pgBackRest reads, and what pgk's own programs know of the archive.
#[test]
fn each_archive_is_configured_as_before() {
    for (name, settings) in ARCHIVES {
        let mut text = String::new();
        for (name, file) in config_files([&["gen", "q3"], settings].concat()) {
            let file = match name.as_str() {
                "pgbackrest.conf" | "pgbackrest-repo.conf" | "s3-ca.crt" | "known-hosts.txt" => &file[..],
                "settings.yaml" => &file[file.find("archive:").expect("it is there")..],
                _ => continue,
            };
            let lines = file.lines().filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
            text.extend([&format!("----- {name}\n"), &lines.collect::<Vec<_>>().join("\n"), "\n"]);
        }
        insta::assert_snapshot!(format!("archive-{name}"), text);
    }
}

/// The `NetworkPolicies` among what these arguments render.
fn policies(arguments: &[&str]) -> String {
    let stream = pgk_stdout([arguments, &["--set=network-policy.enabled=true"]].concat());
    let documents = stream.trim_start_matches("---\n").split("\n---\n");
    documents.filter(|text| text.contains("\nkind: NetworkPolicy\n")).collect::<Vec<_>>().join("\n---\n")
}

/// Each connection that there is in a scenario, and no other.
#[test]
fn policies_are_as_before() {
    let (egress, monitoring) =
        ("--set=network-policy.egress=true", "--set=network-policy.monitoring=app=prometheus");
    let cases: [(&str, &[&str]); 8] = [
        ("q1", &["gen", "q1"]),
        (
            "q1-egress",
            &["gen", "q1", egress, "--set=network-policy.clients=app=web; tier in (api, admin), !canary"],
        ),
        ("q2", &["gen", "q2"]),
        ("q2-egress", &["gen", "q2", egress, monitoring, "--set=q2.dcs=endpoints"]),
        ("q2-no-watcher", &["gen", "q2", "--set=q2.fast-failover=false", "--namespace=databases"]),
        ("q2-restore", &["gen", "q2", "--strategy=restore", egress]),
        ("q3", &["gen", "q3", egress]),
        ("q3-s3", &["gen", "q3", "-f", "examples/q3-s3.yaml", egress, "--set=q3.restore-test=none"]),
    ];
    for (name, arguments) in cases {
        insta::assert_snapshot!(format!("policies-{name}"), policies(arguments));
    }
}

/// The ports outside the cluster that each kind of repository takes.
#[test]
fn egress_reaches_each_repository() {
    let outside = |arguments: &[&str]| {
        let text = policies(&[&["gen", "q3", "--set=network-policy.egress=true"], arguments].concat());
        let jobs = text.rsplit("\n---\n").next().expect("the jobs' policy");
        let policy: Json = serde_yaml::from_str(jobs).expect("YAML");
        assert_eq!(policy["metadata"]["name"], "pg-jobs");
        let rules = policy["spec"]["egress"].as_array().expect("rules")[2..].to_vec();
        let rules = rules.iter().map(|rule| {
            let to = rule["to"][0]["ipBlock"]["cidr"].as_str().unwrap_or("all");
            let ports = rule["ports"].as_array().expect("ports").iter().map(|port| port["port"].to_string());
            format!("{to}: {}", ports.collect::<Vec<_>>().join(","))
        });
        rules.collect::<Vec<_>>().join("; ")
    };
    let machine = "169.254.169.254/32: 80; 169.254.169.252/32: 988";
    for (name, settings) in ARCHIVES {
        let expected = match name {
            "posix-encrypted" | "point-in-time" => String::new(),
            "s3" => "all: 9000".to_owned(),
            "posix-s3" | "gcs" | "azure" => "all: 443".to_owned(),
            "gcs-auto" => format!("all: 443; {machine}"),
            _ => "all: 22".to_owned(),
        };
        assert_eq!(outside(settings), expected, "{name}");
    }
    let s3 = ["--backrest-repo=s3,sftp", "--set=q3.sftp.host=a", "--set=q3.sftp.user=a"];
    let known = ["--set=q3.sftp.known-hosts=a b c", "--set=q3.s3.endpoint=minio:7070"];
    let region = ["--set=q3.s3.bucket=abc", "--set=q3.s3.region=x"];
    let all = [&s3[..], &known, &region].concat();
    assert_eq!(outside(&all), "all: 22,7070");
    let key = |kind: &str| [&all[..], &[&format!("--set=q3.s3.key-type={kind}")]].concat().join("\n");
    assert_eq!(outside(&key("web-id").split('\n').collect::<Vec<_>>()), "all: 22,443,7070");
    assert_eq!(outside(&key("auto").split('\n').collect::<Vec<_>>()), format!("all: 22,7070; {machine}"));
}

/// The replication slots that Patroni is told of; none, where there is none.
#[test]
fn slots_become_patronis() {
    let dcs = |settings: &[&str]| -> Json {
        let files = config_files([&["gen", "q2"], settings].concat());
        let patroni = files.iter().find(|(name, _)| name == "patroni.yaml").expect("Patroni's file");
        let patroni: Json = serde_yaml::from_str(&patroni.1).expect("YAML");
        patroni["bootstrap"]["dcs"].clone()
    };
    let none = dcs(&[]);
    assert_eq!([&none["slots"], &none["ignore_slots"]], [&Json::Null; 2]);
    assert_eq!(none["postgresql"]["parameters"]["wal_level"], Json::Null);
    let physical = ["--set", "postgres.slots.a=physical", "--set", "postgres.slots.b=foreign"];
    let physical = dcs(&physical);
    assert_eq!(physical["slots"], json!({"a": {"type": "physical"}}));
    assert_eq!(physical["ignore_slots"], json!([{"name": "b"}]));
    assert_eq!(physical["postgresql"]["parameters"]["wal_level"], Json::Null);
    let logical = dcs(&["--set", "postgres.slots.on=pgoutput", "--set", "postgres.database=a: b"]);
    assert_eq!(
        logical["slots"],
        json!({"on": {"type": "logical", "database": "a: b", "plugin": "pgoutput"}})
    );
    assert_eq!(logical["ignore_slots"], Json::Null);
    assert_eq!(logical["postgresql"]["parameters"]["wal_level"], json!("logical"));
}

/// What is checked in under `tp8/`: what is rendered, the folder, and the example that spells it out.
const TP8: [(&[&str], &str, &str); 5] = [
    (&["gen", "q1"], "Q1", "q1"),
    (&["gen", "q2"], "Q2", "q2"),
    (&["gen", "q2", "--strategy", "restore"], "Q2/restore", "q2-restore"),
    (&["gen", "q3"], "Q3", "q3"),
    (&["gen", "q3", "-f", "examples/q3-s3.yaml"], "Q3/s3", "q3-s3"),
];

#[test]
fn the_example_of_all_defaults_is_the_default() {
    for (what, _, example) in TP8 {
        let example = format!("examples/{example}.yaml");
        assert_eq!(pgk_stdout([&what[..2], &["-f", &example]].concat()), pgk_stdout(what));
    }
}

/// The files of a folder and their texts, in order of their names, without folders in it.
fn folder(path: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("text"))
        })
        .collect();
    files.sort();
    files
}

/// Nothing that is no manifest may look like one: `kubectl apply -f` would take it.
#[test]
fn what_ends_like_a_manifest_is_one() {
    for (_, name, _) in TP8 {
        let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tp8").join(name);
        for (name, _) in folder(&checked_in) {
            let manifest = name.starts_with(|c: char| c.is_ascii_digit())
                && Path::new(&name).extension().is_some_and(|ending| ending == "yaml");
            assert!(
                manifest || ["README.md", "Containerfile", "Kustomization", ".pgk-files"].contains(&&*name),
                "{name}"
            );
        }
    }
}

/// `just tp8` renders it again.
#[test]
fn tp8_is_what_pgk_renders() {
    for (what, name, _) in TP8 {
        let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tp8").join(name);
        let parent = tempfile::tempdir().expect("a folder");
        let fresh = parent.path().join("out");
        pgk_stdout([what, &["-o", fresh.to_str().expect("UTF-8")]].concat());
        assert_eq!(folder(&checked_in), folder(&fresh));
    }
}

#[test]
fn a_folder_holds_the_stream_and_its_readme_names_every_file() {
    let settings = [
        "lang=fr",
        "lang=en",
        "network-policy.enabled=true",
        "q2.dcs=configmaps",
        "q2.durability=asynchronous",
        "q2.fast-failover=false",
    ];
    for (what, setting) in TP8.iter().flat_map(|(what, ..)| settings.map(|setting| (*what, setting))) {
        // Q1 has none of Q2's settings. With restore there is no Patroni, and the store is what makes a commit safe.
        if setting.starts_with("q2.") && (what.contains(&"q1") || what.contains(&"restore")) {
            continue;
        }
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("out");
        pgk_stdout([what, &["--set", setting, "-o", path.to_str().expect("UTF-8")]].concat());
        let files = folder(&path);
        let manifests: Vec<_> = files.iter().filter(|(name, _)| name.contains(".yaml")).collect();
        let stream: String = manifests.iter().flat_map(|(_, text)| ["---\n", text]).collect();
        assert_eq!(stream, pgk_stdout([what, &["--set", setting]].concat()));
        let text = |wanted| &files.iter().find(|(name, _)| name == wanted).expect("the file").1;
        let kustomization: Json = serde_yaml::from_str(text("Kustomization")).expect("YAML");
        let names: Vec<_> = manifests.iter().map(|(name, _)| name).collect();
        assert_eq!(kustomization["resources"], json!(names));
        assert!(text(".pgk-files").contains("  Kustomization\n"));
        let readme = text("README.md");
        assert!(readme.contains("| `Kustomization` |"), "README of {what:?} {setting}");
        for (name, _) in manifests {
            assert!(
                readme.contains(&format!("`{name}`")),
                "README of {what:?} {setting} does not name {name}"
            );
        }
    }
}
