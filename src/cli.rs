//! Every flag and its help.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::config::Sources;
use crate::scenario;

k8s_openapi::k8s_if_1_33! {
    // Whoever chooses another API level in Cargo.toml is stopped by the compiler here, and says it here.
    const VERSION: &str =
        concat!(env!("CARGO_PKG_VERSION"), " (manifests are checked against the API of Kubernetes v1.33)");
}

/// What `pgk` without arguments shows.
pub const FIRST_STEPS: &str = "\
pgk renders a resilient PostgreSQL on Kubernetes as plain manifests.

Usage: pgk <COMMAND>

  pgk init q2                  writes a commented pgk.yaml to begin with (q1, q2 or q3)
  pgk gen q2 -f pgk.yaml -o d  renders it into the folder d, whose README says how to go on
  pgk explain q2.durability    says what a setting means

`pgk --help` lists every command.";

/// Resilient PostgreSQL on Kubernetes, as plain manifests: no operator, no CRD.
#[derive(Debug, Parser)]
#[command(name = "pgk", version = VERSION, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What pgk can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Render a scenario's manifests, to stdout or into a folder.
    Gen(Gen),
    /// Print the Secrets with fresh random passwords, for `kubectl create -f -`.
    Secret(Secret),
    /// Write a commented pgk.yaml to begin with, and the JSON Schema that editors check it by.
    Init(Init),
    /// Say what a setting means, or list them all.
    Explain(Explain),
    /// Print the JSON Schema of pgk.yaml.
    Schema,
    /// Print what makes a shell complete pgk's arguments.
    Completion(Completion),
    /// Print a page of the manual, as `man` reads it.
    Man(Man),
    /// Show what `pgk gen SCENARIO -o DIR` would change, and what of it cannot be applied in place.
    Diff(Diff),
    /// Draw a scenario's objects and the links between them.
    Graph(Graph),
    /// Check manifests, rendered or edited by hand: each as its Kubernetes type, and the links between them.
    Check(Check),
    /// Break a cluster on purpose while a load runs, and prove what it kept.
    #[cfg(feature = "drill")]
    Drill(Box<crate::drill::Arguments>),
}

/// Arguments of `pgk gen`.
#[derive(Debug, Args)]
#[command(after_help = CONFIGURATION)]
pub struct Gen {
    /// The scenario: q1 is one primary and several read-only replicas that heal; q2 also a new primary when
    /// the primary fails; q3 also an archive that everything is restored from when nothing else is left.
    #[arg(value_parser = PossibleValuesParser::new(scenario::all().into_keys()))]
    pub scenario: String,
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
    /// Write a folder of numbered files with a README, instead of a stream to stdout. For several instances, a folder
    /// each in it, of the instance's name.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write into a folder that holds files of somebody else; those of the same name are replaced.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Put the Secret with fresh random passwords in front of the stream, for a try in one line.
    #[arg(long, conflicts_with = "output")]
    pub with_secret: bool,
}

/// Arguments of `pgk init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The scenario that it is for.
    #[arg(default_value = "q1", value_parser = PossibleValuesParser::new(scenario::all().into_keys()))]
    pub scenario: String,
    /// The file to write, never over one that is there; the schema goes beside it.
    #[arg(short, long, value_name = "FILE", default_value = "pgk.yaml")]
    pub output: PathBuf,
}

/// Arguments of `pgk explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The setting, such as q2.durability, or a section, such as q3.s3. Without it, all are listed.
    pub key: Option<String>,
}

/// Arguments of `pgk completion`.
#[derive(Debug, Args)]
#[command(after_help = "For example: pgk completion bash >~/.local/share/bash-completion/completions/pgk")]
pub struct Completion {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Arguments of `pgk man`.
#[derive(Debug, Args)]
#[command(after_help = "For example: pgk man gen | man -l -")]
pub struct Man {
    /// The command that the page is about; without it, pgk as a whole.
    pub command: Option<String>,
}

/// Arguments of `pgk diff`.
#[derive(Debug, Args)]
#[command(after_help = DIFFERENCE)]
pub struct Diff {
    /// The scenario.
    #[arg(value_parser = PossibleValuesParser::new(scenario::all().into_keys()))]
    pub scenario: String,
    /// The folder that `pgk gen SCENARIO -o DIR` wrote.
    #[arg(value_name = "DIR")]
    #[cfg_attr(feature = "drill", arg(required_unless_present = "live"))]
    #[cfg_attr(not(feature = "drill"), arg(required = true))]
    pub folder: Option<PathBuf>,
    /// Compare with the cluster of the current context instead, by a server-side dry run that changes nothing.
    #[cfg(feature = "drill")]
    #[arg(long, conflicts_with = "folder")]
    pub live: bool,
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
}

/// Arguments of `pgk graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// The scenario.
    #[arg(value_parser = PossibleValuesParser::new(scenario::all().into_keys()))]
    pub scenario: String,
    /// An SVG picture, instead of mermaid text.
    #[arg(long)]
    pub svg: bool,
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
}

/// Arguments of `pgk check`.
#[derive(Debug, Args)]
#[command(after_help = CHECKED)]
pub struct Check {
    /// A folder, of which the files are read that `kubectl apply -f` takes (.yaml, .yml, .json, not those of folders
    /// in it); a file; or `-` for standard input.
    #[arg(value_name = "DIR|FILE")]
    pub path: PathBuf,
    /// An object that the cluster has from elsewhere, and so may be referred to; may be repeated.
    #[arg(long, value_name = "KIND/NAME")]
    pub outside: Vec<String>,
}

/// Arguments of `pgk secret`.
#[derive(Debug, Args)]
#[command(after_help = SECRETS)]
pub struct Secret {
    /// The scenario. All need the Secret of passwords; q3 also what its repositories are opened with, and the
    /// certificate that its members and its repository know each other by.
    #[arg(value_parser = PossibleValuesParser::new(scenario::all().into_keys()))]
    pub scenario: Option<String>,
    /// Print one Secret alone: credentials, backrest (what the repositories are opened with) or tls.
    #[arg(long, value_name = "WHICH")]
    pub only: Option<Which>,
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
}

/// One of the Secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The passwords.
    Credentials,
    /// What the repositories are opened with.
    Backrest,
    /// The certificate of members and repository.
    Tls,
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub struct Config {
    /// The configuration file (YAML); `-` is standard input. Without it, the defaults. Several describe an instance
    /// each, and so does each *.yaml of a folder.
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Set a key over the file's; may be repeated, the last one counts. Example: --set replicas=3
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The instance's name; the same as --set name=NAME
    #[arg(long)]
    pub name: Option<String>,
    /// The namespace of every object; the same as --set namespace=NAMESPACE
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// The README's language, fr or en; the same as --set lang=LANG
    #[arg(long)]
    pub lang: Option<String>,
    /// How many replicas; the same as --set replicas=N
    #[arg(long, value_name = "N")]
    pub replicas: Option<String>,
    /// How Q2 comes by a new primary, promote or restore; the same as --set q2.strategy=STRATEGY
    #[arg(long)]
    pub strategy: Option<String>,
    /// Where Q3 keeps its archive, of posix, s3, gcs, azure and sftp; the same as --set q3.repos=KIND,…
    #[arg(long, value_name = "KIND,…")]
    pub backrest_repo: Option<String>,
    /// The point in time that Q3 restores to when nothing is left, such as '2026-11-24 10:00:00+01'; the same
    /// as --set q3.restore.target.time=TIME
    #[arg(long, value_name = "TIME")]
    pub restore_to: Option<String>,
}

/// The flags that set a key, and which one.
pub const FLAGS: [(&str, &str); 7] = [
    ("--name", "name"),
    ("--namespace", "namespace"),
    ("--lang", "lang"),
    ("--replicas", "replicas"),
    ("--strategy", "q2.strategy"),
    ("--backrest-repo", "q3.repos"),
    ("--restore-to", "q3.restore.target.time"),
];

impl Config {
    /// What is set over each file, for this scenario if there is one.
    pub(crate) fn sources(self, scenario: Option<&'static str>) -> Sources {
        // In the order of FLAGS.
        let values = [
            self.name,
            self.namespace,
            self.lang,
            self.replicas,
            self.strategy,
            self.backrest_repo,
            self.restore_to,
        ];
        let flags = FLAGS.into_iter().zip(values);
        let flags = flags.filter_map(|((flag, key), value)| Some((flag, key, value?))).collect();
        Sources { file: None, set: self.set, flags, scenario }
    }
}

const CONFIGURATION: &str = "\
Configuration, all of it optional: `pgk explain` lists every key with its default and `pgk explain KEY` says
more; `pgk init` writes a commented file to begin with. Precedence, each over the ones before it: the defaults,
the file, each --set in the order given, a flag of its own such as --namespace. Parameters and resources are
merged key by key.

With several files, or a folder of them, --set and the flags hold for every instance. All files are read and
checked before the first instance is rendered; each is then rendered, checked and written whole, one after the
other, so what stops it later, such as a full disk, leaves those before it whole and those after it as they were.
A folder of an instance that has no file any more is left alone.

Exit status: 0 done; 1 failed; 2 the command line, the configuration or the folder is wrong.";

const DIFFERENCE: &str = "\
Standard output is a unified diff; what was edited by hand since pgk wrote it is marked. Standard error warns of what
`kubectl apply` then cannot do in place, such as another size of the volumes of a StatefulSet, and says how to do it.

Exit status: 0 nothing differs; 1 something does; 2 the command line, the configuration or the folder is wrong.";

const CHECKED: &str = "\
Found are unknown fields, values of a wrong type, labels and names that the API server refuses, and what it accepts
and never makes work: a Service that selects no pod, a ConfigMap's key or a port that is not there, two objects of one
name. The Secrets that `pgk secret` prints are known; what else comes from elsewhere is told by --outside. Kinds that
pgk does not know, such as those of a CustomResourceDefinition, are named and not checked.

Exit status: 0 nothing is wrong; 1 something is; 2 there is nothing to check.";

const SECRETS: &str = "\
What `pgk secret q3` takes from the environment, for the repositories that need it:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY      s3
  GOOGLE_APPLICATION_CREDENTIALS                gcs: the path of the service account's key file
  AZURE_STORAGE_KEY                             azure: the account's key; AZURE_STORAGE_SAS_TOKEN with sas
  PGK_SFTP_KEY                                  sftp: the path of the private key
  PGK_CIPHER_PASS                               the pass phrase of an encrypted repository that is there
                                                already; without it, a new one is made

Keep what is printed of an encrypted repository outside the cluster: without its cipher-pass, nobody reads it.";
