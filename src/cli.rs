//! Every flag and its help.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::config::Sources;
use crate::scenario;

/// Resilient PostgreSQL on Kubernetes, as plain manifests: no operator, no CRD.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
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
    /// Print the Secret with fresh random passwords, for `kubectl create -f -`.
    Secret(Secret),
    /// Break a cluster on purpose while a load runs, and prove what it kept.
    #[cfg(feature = "drill")]
    Drill(Box<crate::drill::Arguments>),
}

/// Arguments of `pgk gen`.
#[derive(Debug, Args)]
#[command(after_help = CONFIGURATION)]
pub struct Gen {
    /// The scenario: q1 is one primary and several read-only replicas that heal; q2 also a new primary when
    /// the primary fails.
    #[arg(value_parser = PossibleValuesParser::new(scenario::all().into_keys()))]
    pub scenario: String,
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
    /// Write a folder of numbered files with a README, instead of a stream to stdout.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write into a folder that holds files of somebody else; those of the same name are replaced.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Put the Secret with fresh random passwords in front of the stream, for a try in one line.
    #[arg(long, conflicts_with = "output")]
    pub with_secret: bool,
}

/// Arguments of `pgk secret`.
#[derive(Debug, Args)]
pub struct Secret {
    /// The configuration and the changes to it.
    #[command(flatten)]
    pub config: Config,
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub struct Config {
    /// The configuration file (YAML); `-` is standard input. Without it, the defaults.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
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
}

impl From<Config> for Sources {
    fn from(config: Config) -> Self {
        let flags = [
            ("--name", "name", config.name),
            ("--namespace", "namespace", config.namespace),
            ("--lang", "lang", config.lang),
            ("--replicas", "replicas", config.replicas),
            ("--strategy", "q2.strategy", config.strategy),
        ];
        let flags = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?))).collect();
        Self { file: config.file, set: config.set, flags }
    }
}

const CONFIGURATION: &str = "\
Configuration, all of it optional, with the defaults:
  name: pg                     prefix of every object's name
  namespace:                   none: that of the context which applies the manifests
  lang: fr                     language of the generated README: fr, en
  postgres:
    version: 17                17 or 18
    image:                     q1: docker.io/library/postgres:VERSION
                               (also of q2 with restore)
                               q2: localhost/pgk-postgres:VERSION, built from the rendered Containerfile
    database: app              the application's database, and
    user: app                  the role that owns it
    parameters: {}             PostgreSQL parameters, such as work_mem: 16MB
  replicas: 2                  how many read-only replicas, 0 to 12
  storage:
    size: 8Gi                  size of each member's volume
    class:                     none: the cluster's default StorageClass
  resources:
    requests: {cpu: 100m, memory: 256Mi}
    limits: {memory: 1Gi}
  q1:
    max-lag: 64MB              a replica further behind than this gets no readers
  q2:
    strategy: promote          how a new primary comes about: a replica is promoted;
                               restore: it is made anew from a backup store, on the official image
    durability: synchronous    an acknowledged commit is on two members, as long as there are two;
                               strict: always, writes wait otherwise; asynchronous: on the primary
                               (with restore: strict, in the store, always; available: in the store,
                               as long as it can be reached; synchronous is strict there)
    dcs: configmaps            where Patroni keeps its state: configmaps or endpoints
    fast-failover: true        notice a lost node in 3 s instead of 20 (not with asynchronous)
    max-lag: 64MB              as in q1
    backups: 2                 with restore: how many base backups are kept, 1 to 30
    backup-every: 6h           with restore: how often one is taken
    store-size: 32Gi           with restore: size of the store's volume

Precedence, each over the ones before it: the defaults, the file, each --set in the order given, a flag
of its own such as --namespace. Parameters and resources are merged key by key.

Exit status: 0 done; 1 failed; 2 the command line, the configuration or the folder is wrong.";
