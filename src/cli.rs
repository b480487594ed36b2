//! Every flag and its help.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::config::{Scenario, Sources, settings};

k8s_openapi::k8s_if_1_33! {
    // With another API level in Cargo.toml, this does not compile: then change the text, too.
    pub(crate) const VERSION: &str =
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
    /// Write a commented pgk.yaml to begin with, and its JSON Schema for editors.
    Init(Init),
    /// Explain a setting, or list them all.
    Explain(Explain),
    /// Print the JSON Schema of pgk.yaml.
    Schema,
    /// Print a shell's completion script.
    Completion(Completion),
    /// Print a man page.
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
    /// The scenario. q1: one primary and several read-only replicas that heal; q2: also a new primary when the
    /// primary fails; q3: also an archive, from which everything is restored when nothing else is left.
    #[arg(value_parser = scenarios())]
    pub scenario: Scenario,
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
    /// Write a folder of numbered files with a README, instead of a stream to stdout. Several instances get a
    /// subfolder each, named after the instance.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write into a folder even if pgk did not write its files, or if they were edited; those of the same name are replaced.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Add the Secret with fresh random passwords to the stream, for a quick try in one line.
    #[arg(long, conflicts_with = "output")]
    pub with_secret: bool,
}

/// Arguments of `pgk init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The scenario that the file is for.
    #[arg(default_value = "q1", value_parser = scenarios())]
    pub scenario: Scenario,
    /// The file to write, never over an existing one; the schema is written next to it.
    #[arg(short, long, value_name = "FILE", default_value = "pgk.yaml")]
    pub output: PathBuf,
}

/// Arguments of `pgk explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The setting, such as q2.durability, or a section, such as q3.s3. Without it, all are listed.
    #[arg(hide_possible_values = true, value_parser = Words(keys))]
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
    /// The command that the page describes; without it, pgk as a whole.
    #[arg(hide_possible_values = true, value_parser = Words(commands))]
    pub command: Option<String>,
}

/// Arguments of `pgk diff`.
#[derive(Debug, Args)]
#[command(after_help = DIFFERENCE)]
pub struct Diff {
    /// The scenario.
    #[arg(value_parser = scenarios())]
    pub scenario: Scenario,
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
    #[arg(value_parser = scenarios())]
    pub scenario: Scenario,
    /// Draw an SVG picture, instead of mermaid text.
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
    /// Folders, in which the same files are read as by `kubectl apply -f` (.yaml, .yml, .json; those in subfolders only
    /// with -R); files; or `-` for standard input. All of them are checked together.
    #[arg(value_name = "DIR|FILE", required = true)]
    pub paths: Vec<PathBuf>,
    /// Also look into subfolders, such as those of several instances.
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// An object that already exists in the cluster and may be referenced. Repeatable.
    #[arg(long, value_name = "KIND/NAME")]
    pub outside: Vec<String>,
}

/// Arguments of `pgk secret`.
#[derive(Debug, Args)]
#[command(after_help = SECRETS)]
pub struct Secret {
    /// The scenario. All need the Secret with the passwords; q3 also needs the keys of its repositories, and the
    /// certificate by which its members and its repository authenticate to each other.
    #[arg(value_parser = scenarios())]
    pub scenario: Option<Scenario>,
    /// Print only one Secret: credentials, backrest (the keys of the repositories) or tls.
    #[arg(long, value_name = "WHICH")]
    pub only: Option<Which>,
    /// Write them into a new file that only its owner may read, instead of to stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
}

/// One of the Secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The passwords.
    Credentials,
    /// The keys of the repositories.
    Backrest,
    /// The certificate of members and repository.
    Tls,
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub struct Config {
    /// The configuration file (YAML); `-` is standard input. Without it, the defaults apply. Of several files, each
    /// describes an instance; a folder stands for each *.yaml and *.yml in it.
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Set a key, over its value in the file. Repeatable, the last one counts. Example: --set replicas=3
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true, hide_possible_values = true, value_parser = Words(set_keys))]
    pub set: Vec<String>,
    /// The instance's name; the same as --set name=NAME
    #[arg(long, allow_hyphen_values = true)]
    pub name: Option<String>,
    /// The namespace of every object; the same as --set namespace=NAMESPACE
    #[arg(short, long, allow_hyphen_values = true)]
    pub namespace: Option<String>,
    /// The README's language, fr or en; the same as --set lang=LANG
    #[arg(long, allow_hyphen_values = true, hide_possible_values = true, value_parser = Words(|| vec!["fr", "en"]))]
    pub lang: Option<String>,
    /// How many replicas; the same as --set replicas=N
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub replicas: Option<String>,
    /// How Q2 gets a new primary, promote or restore; the same as --set q2.strategy=STRATEGY
    #[arg(long, allow_hyphen_values = true, hide_possible_values = true, value_parser = Words(|| vec!["promote", "restore"]))]
    pub strategy: Option<String>,
    /// Where Q3 keeps its archive: one or several of posix, s3, gcs, azure and sftp; the same as --set q3.repos=KIND,…
    #[arg(long, value_name = "KIND,…", allow_hyphen_values = true, hide_possible_values = true, value_parser = Words(|| vec!["posix", "s3", "gcs", "azure", "sftp"]))]
    pub backrest_repo: Option<String>,
    /// The point in time that Q3 restores to when nothing is left, such as '2026-11-24 10:00:00+01'; the same
    /// as --set q3.restore.target.time=TIME
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub restore_to: Option<String>,
}

/// Takes the name of a scenario.
fn scenarios() -> impl TypedValueParser<Value = Scenario> {
    PossibleValuesParser::new(Scenario::NAMED.map(Scenario::name)).try_map(|name| name.parse::<Scenario>())
}

/// Any text; a shell completes these words. Other texts are refused where they are read.
#[derive(Clone)]
pub(crate) struct Words(pub(crate) fn() -> Vec<&'static str>);

/// What `pgk explain` knows.
fn keys() -> Vec<&'static str> {
    settings::all().iter().map(|setting| setting.key.as_str()).collect()
}

/// What `--set` takes, up to the value; names of parameters and slots are no keys of pgk's.
fn set_keys() -> Vec<&'static str> {
    static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let settings = settings::all().iter().filter(|setting| !setting.section);
        settings
            .map(
                |setting| {
                    if setting.is_map() { format!("{}.", setting.key) } else { format!("{}=", setting.key) }
                },
            )
            .collect()
    });
    KEYS.iter().map(String::as_str).collect()
}

/// The commands that have a page in the manual.
fn commands() -> Vec<&'static str> {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        Command::augment_subcommands(clap::Command::new("pgk"))
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect()
    });
    NAMES.iter().map(String::as_str).collect()
}

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
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
    pub(crate) fn sources(self, scenario: Option<Scenario>) -> Sources {
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
Configuration, all of it optional: `pgk explain` lists every key with its default and `pgk explain KEY` says \
more; `pgk init` writes a commented file to begin with. Precedence, each over the ones before it: the defaults, \
the file, each --set in the order given, a flag of its own such as --namespace. Parameters and resources are \
merged key by key.

With several files, or a folder of them, --set and the flags hold for every instance. All files are read and \
checked before the first instance is rendered; each is then rendered, checked and written whole, several at once, \
so what stops it later, such as a full disk, leaves each folder either complete or as it was. \
The folder of an instance whose file is gone stays.

Exit status: 0 done; 1 failed; 2 the command line, the configuration or the folder is wrong.";

const DIFFERENCE: &str = "\
Standard output is a unified diff; what was edited by hand since pgk wrote it is marked. Standard error warns of what \
`kubectl apply` cannot do in place, such as another size of a StatefulSet's volumes, and says how to do it.

Exit status: 0 nothing differs; 1 something does; 2 the command line, the configuration or the folder \
is wrong, or the comparison failed.";

const CHECKED: &str = "\
It finds what the API server refuses: unknown fields, values of a wrong type, and names, labels, quantities, ports, \
schedules and probes that are not valid. It also finds objects that the API server accepts but that can never work: a Service \
that selects no pod, a missing port or a missing key of a ConfigMap, two objects of the same name. The Secrets that \
`pgk secret` prints are known; name other objects that exist elsewhere with --outside. Kinds that pgk does not know, such \
as those of a CustomResourceDefinition, are named and not checked; because their controllers may create pods, a selector \
in their namespace may select none.

Exit status: 0 nothing is wrong; 1 something is; 2 there is nothing to check.";

const SECRETS: &str = "\
What `pgk secret q3` takes from the environment, for the repositories that need it:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY      s3
  GOOGLE_APPLICATION_CREDENTIALS                gcs: the path of the service account's key file
  AZURE_STORAGE_KEY                             azure: the account's key; AZURE_STORAGE_SAS_TOKEN with sas
  PGK_SFTP_KEY                                  sftp: the path of the private key
  PGK_CIPHER_PASS                               the pass phrase of an encrypted repository that already
                                                exists; without it, a new one is made

Keep the Secret of an encrypted repository outside the cluster: without its cipher-pass, the repository cannot be read. \
`pgk secret q3 -o secrets.yaml` writes a file that nobody else may read.

Exit status: 0 done; 1 failed; 2 the command line, the configuration or the environment is wrong.";
