//! How the rendered folders are applied to a real cluster: by client and by server side, and as a kustomization. What was
//! applied is what the cluster then has, so that there is no drift.

use std::path::Path;

use crate::common::command::{eventually, expect, secs};
use crate::common::instance::Instance;
use crate::support::{pgk, pgk_stdout};

/// A way to apply a folder, and the way to ask for the differences that goes with it.
type Way = (&'static [&'static str], &'static [&'static str]);
const BY_CLIENT: Way = (&["apply", "--filename"], &["diff", "--filename"]);
const OTHERS: [Way; 3] = [
    (&["apply", "--kustomize"], &["diff", "--kustomize"]),
    (&["apply", "--server-side", "--filename"], &["diff", "--server-side", "--filename"]),
    (&["apply", "--server-side", "--kustomize"], &["diff", "--server-side", "--kustomize"]),
];

#[test]
#[ignore = "needs a cluster: just cluster"]
fn what_was_applied_does_not_drift() {
    for (scenario, test, settings, others) in [
        ("q1", "apply-q1", &[][..], &[][..]),
        ("q2", "apply-q2", &[], &[]),
        ("q2", "apply-restore", &["--strategy=restore"], &[]),
        ("q3", "apply-q3", &[], &OTHERS),
    ] {
        let pg = Instance::prepare_for(scenario, test);
        let parent = tempfile::tempdir().expect("a folder");
        let folder = Folder { pg: &pg, scenario, settings, path: &parent.path().join("out") };
        folder.write();
        for (how, diff) in others.iter().chain([&BY_CLIENT]) {
            folder.kubectl(how).unwrap_or_else(|error| panic!("{test}: {how:?}: {error}"));
            folder.is_what_the_cluster_has(diff);
            if *how != BY_CLIENT.0 {
                folder.kubectl(&["delete", how[how.len() - 1]]).expect("it is deleted");
            }
        }
        // Also once the cluster's controllers have seen it.
        eventually("a pod", secs(30), || {
            let pods = pg.kubectl(&["get", "pods", "--output=name"])?;
            expect(!pods.is_empty(), pods)
        });
        folder.is_what_the_cluster_has(&["diff", "--filename"]);
        folder.a_change_is_seen();
    }
}

/// A folder of one instance, in its namespace.
struct Folder<'a> {
    pg: &'a Instance,
    scenario: &'a str,
    settings: &'a [&'a str],
    path: &'a Path,
}

impl Folder<'_> {
    fn write(&self) {
        pgk_stdout(
            [
                &["gen", self.scenario, "--namespace", &self.pg.namespace, "--output", self.text()],
                self.settings,
            ]
            .concat(),
        );
    }

    fn text(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    /// `kubectl` with these arguments and the folder.
    fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.pg.kubectl(&[arguments, &[self.text()]].concat())
    }

    /// What `pgk diff --live` prints, and its exit status.
    fn live(&self) -> (String, Option<i32>) {
        let output =
            pgk([&["diff", self.scenario, "--live", "--namespace", &self.pg.namespace], self.settings]
                .concat());
        (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.code())
    }

    /// By kubectl (which ends with 1 if something differs) and by pgk.
    fn is_what_the_cluster_has(&self, diff: &[&str]) {
        // kubectl reads an object twice, and shows what the cluster itself changed in between.
        eventually("no difference", secs(20), || {
            let difference = self.kubectl(diff)?;
            expect(difference.is_empty(), difference)
        });
        assert_eq!(self.live(), (String::new(), Some(0)), "{diff:?}");
    }

    fn a_change_is_seen(&self) {
        self.pg
            .kubectl(&[
                "patch",
                "service",
                "pg-rw",
                "--patch",
                r#"{"spec":{"ports":[{"port":5432,"targetPort":5433}]}}"#,
            ])
            .expect("a patch");
        let (said, status) = self.live();
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("5433"), "{said}");
        let (status, shown) =
            self.pg.kubectl_status(&["diff", "--filename", self.text()]).expect("kubectl ends");
        assert_eq!(status, Some(1), "kubectl sees nothing, or it failed: {}", shown.stderr);
        assert!(shown.stdout.contains("5433"), "{}", shown.stdout);
    }
}
