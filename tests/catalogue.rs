//! What pgk knows of PostgreSQL's parameters against a real server of each version, whose folder of programs
//! `PGK_POSTGRES_17` or `PGK_POSTGRES_18` names: what the server takes, pgk takes.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pgk::config::types::Version;
use pgk::postgres::{self, Kind, Parameter};
use pgk::render::escape;

/// What hides what the server says of the others.
const ALONE: [&str; 3] = ["log_min_messages", "log_destination", "lc_messages"];

struct Server {
    programs: PathBuf,
    scratch: tempfile::TempDir,
}

impl Server {
    /// The server of this version; `None` where nobody says where it is.
    fn of(version: Version) -> Option<Self> {
        let programs = std::env::var_os(format!("PGK_POSTGRES_{}", version.major()))?.into();
        let scratch = tempfile::tempdir().expect("a folder");
        // The server may be another user's.
        fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).expect("ours");
        let server = Self { programs, scratch };
        let done = server.run("initdb", &["--username=postgres", "--no-sync", "--locale=C"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.path("data")).args(arguments).current_dir("/");
        command.output().expect("it runs")
    }

    /// Which of these parameters the server refuses.
    fn refuses(&self, values: &BTreeMap<&str, String>) -> BTreeSet<String> {
        let mut text = String::new();
        for (name, value) in values {
            let value = escape::Kind::Conf.escape(value).expect("every text can be written");
            writeln!(text, "{name} = {value}").expect("written");
        }
        let file = self.path("try.conf");
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("ours");
        let file = format!("config_file={}", file.display());
        // The shown parameter matters not: it is the last thing that is done, and only where nothing is wrong.
        let done = self.run("postgres", &["-c", &file, "-C", "port"]);
        let said = String::from_utf8_lossy(&done.stderr);
        let named = said.lines().filter_map(|line| line.split_once("parameter \"")?.1.split('"').next());
        let mut refused: BTreeSet<_> = named.map(str::to_lowercase).collect();
        refused.retain(|name| values.keys().any(|it| it.to_lowercase() == *name));
        if done.status.success() {
            assert!(refused.is_empty(), "{said}");
            return refused;
        }
        if refused.is_empty() {
            // It does not always say which one: halve them.
            if let [name] = values.keys().collect::<Vec<_>>()[..] {
                return BTreeSet::from([name.to_lowercase()]);
            }
            let half = values.len() / 2;
            let part = |from, most| {
                values.iter().skip(from).take(most).map(|(name, value)| (*name, value.clone())).collect()
            };
            refused.extend(self.refuses(&part(0, half)));
            refused.extend(self.refuses(&part(half, values.len())));
            return refused;
        }
        let rest = values.iter().filter(|(name, _)| !refused.contains(&name.to_lowercase()));
        let rest = self.refuses(&rest.map(|(name, value)| (*name, value.clone())).collect());
        refused.extend(rest);
        refused
    }

    fn refuses_one(&self, name: &str, value: &str) -> bool {
        !self.refuses(&BTreeMap::from([(name, value.to_owned())])).is_empty()
    }
}

fn takes(version: Version, name: &str, value: &str) -> bool {
    postgres::find(version, name).is_some_and(|it| !it.is_preset() && it.read(value).is_ok())
}

/// Numbers without a meaning, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let index = self.below(of.len() as u64);
        of.iter().copied().nth(usize::try_from(index).expect("an index")).expect("one")
    }

    /// A number in one notation or another, with or without a unit.
    fn value(&mut self) -> String {
        let (a, b) = (self.below(5000), self.below(100));
        let number = match self.below(8) {
            0 => format!("0x{a:X}"),
            1 => format!("0{a:o}"),
            2 => format!("{a}.{b}"),
            3 => format!("{b}e{}", self.below(6)),
            4 => format!("-{b}"),
            5 => format!(".{b}"),
            6 => format!("{b}.{a}E-{}", self.below(4)),
            _ => a.to_string(),
        };
        let units = ["", "", "B", "kB", "MB", "GB", "TB", "us", "ms", "s", "min", "h", "d", "mb", "K", "%"];
        let space = ["", " ", "  "];
        format!(
            "{}{number}{}{}{}",
            self.one_of(&space),
            self.one_of(&space),
            self.one_of(&units),
            self.one_of(&space)
        )
    }
}

/// Values of a parameter, right ones and wrong ones.
fn values(parameter: &Parameter, numbers: &mut Numbers) -> Vec<String> {
    let mut all = vec![parameter.default.to_owned(), String::new()];
    match parameter.kind {
        Kind::Text | Kind::Hidden => {}
        Kind::Bool => all.extend(
            [
                "t", "T", "tr", "tru", "TRUE", "y", "yes", "on", "ON", "o", "of", "off", "Off", "n", "NO",
                "f", "false", "1", "0", "2", "00", " on", "on ", "maybe", "truee",
            ]
            .map(ToOwned::to_owned),
        ),
        Kind::Enum => {
            let (shown, unseen) = parameter.words();
            for word in shown.iter().chain(&unseen) {
                all.extend([(*word).to_owned(), word.to_uppercase(), format!("{word}x"), format!(" {word}")]);
            }
            all.extend(["on", "true", "1", "nonsense"].map(ToOwned::to_owned));
        }
        Kind::Integer | Kind::Real => {
            let (least, most) = parameter.span().expect("a span");
            let next = |bound: &str, by: f64| bound.parse::<f64>().expect("a number") + by;
            all.extend([least.to_owned(), most.to_owned()]);
            for by in [-1.0, -0.6, -0.4, 0.4, 0.6, 1.0] {
                all.extend([next(least, by).to_string(), next(most, by).to_string()]);
            }
            all.extend(
                [
                    "0",
                    "1",
                    "-1",
                    "+5",
                    "0x10",
                    "0X1f",
                    "0x",
                    "010",
                    "08",
                    "0b11",
                    "0b",
                    "1e2",
                    "1e",
                    "1.5",
                    ".5",
                    "5.",
                    ".",
                    "1e-3",
                    "0x1p3",
                    "0x1.8",
                    "0x.8p1",
                    "99999999999999999999",
                    "1e400",
                    "1e-400",
                    "inf",
                    "-Infinity",
                    "nan",
                    " 7",
                    "7 ",
                    "\t7\n",
                    " .5",
                    "7x",
                    "7 7",
                    "1kB ",
                    "1 MB",
                    "1.5GB",
                    "0.3TB",
                    "1B",
                    "1mb",
                    "1MBs",
                    "1 M B",
                    "1ms",
                    "1.5 s",
                    "0.01min",
                    "1h",
                    "1d",
                    "1us",
                    "1 %",
                    "lots",
                ]
                .map(ToOwned::to_owned),
            );
            all.extend((0..8).map(|_| numbers.value()));
        }
    }
    all.sort();
    all.dedup();
    all
}

fn agrees(version: Version) {
    let Some(server) = Server::of(version) else { return };
    let mut numbers = Numbers(1);
    let mut rounds: Vec<BTreeMap<&str, String>> = Vec::new();
    let (mut parameters, mut count) = (0, 0);
    for parameter in postgres::all(version).filter(|it| !it.name.contains('.')) {
        parameters += 1;
        for (round, value) in values(&parameter, &mut numbers).into_iter().enumerate() {
            count += 1;
            if rounds.len() <= round {
                rounds.push(BTreeMap::new());
            }
            rounds.get_mut(round).expect("a round").insert(parameter.name, value);
        }
    }
    let (mut accepted, mut refused, mut only_pgk, mut only_server) = (0, 0, BTreeMap::new(), Vec::new());
    for round in &rounds {
        let together = round.iter().filter(|(name, _)| !ALONE.contains(name));
        let said = server.refuses(&together.map(|(name, value)| (*name, value.clone())).collect());
        for (name, value) in round {
            let takes = takes(version, name, value);
            let mut server_takes = !said.contains(&name.to_lowercase());
            if takes != server_takes || ALONE.contains(name) {
                // Of those that are set together, one may be in the way of another.
                server_takes = !server.refuses_one(name, value);
            }
            match (takes, server_takes) {
                (true, true) => accepted += 1,
                (false, false) => refused += 1,
                (true, false) => only_pgk.entry(*name).or_insert_with(Vec::new).push(value.clone()),
                (false, true) => only_server.push(format!("{name} = {value:?}")),
            }
        }
    }
    let by_pgk: usize = only_pgk.values().map(Vec::len).sum();
    println!(
        "PostgreSQL {}: {count} values of {parameters} parameters: both take {accepted}, both refuse {refused}, pgk alone takes \
        {by_pgk} of {} parameters: {only_pgk:?}; the server alone takes {}",
        version.major(),
        only_pgk.len(),
        only_server.len()
    );
    assert!(only_server.is_empty(), "pgk refuses what PostgreSQL takes: {only_server:#?}");
    // A text, or what depends on the machine or on other parameters.
    let surprising: Vec<_> = only_pgk
        .keys()
        .filter(|name| {
            let kind = postgres::find(version, name).expect("a parameter").kind;
            !matches!(kind, Kind::Text | Kind::Hidden) && !DEPENDS.contains(name)
        })
        .collect();
    assert!(surprising.is_empty(), "PostgreSQL refuses what pgk takes: {surprising:?}");
}

/// Parameters whose largest numbers PostgreSQL refuses: by the stack that the machine gives, and by the sum of them.
const DEPENDS: [&str; 5] = [
    "autovacuum_max_workers",
    "max_connections",
    "max_stack_depth",
    "max_wal_senders",
    "max_worker_processes",
];

#[test]
fn pgk_takes_what_postgresql_17_takes() {
    agrees(Version::V17);
}

#[test]
fn pgk_takes_what_postgresql_18_takes() {
    agrees(Version::V18);
}

/// Whatever is given, PostgreSQL takes what pgk makes of it.
fn takes_what_is_sized(version: Version) {
    let Some(server) = Server::of(version) else { return };
    for memory in ["32Mi", "100M", "128Mi", "1Gi", "333Gi", "1Ei"] {
        for (cpu, volume) in [("250m", "128Mi"), ("3", "8Gi"), ("1000", "1Ei")] {
            let set = [
                format!("postgres.version={}", version.major()),
                "resources.requests.memory=1Mi".to_owned(),
                format!("resources.limits.memory={memory}"),
                format!("resources.limits.cpu={cpu}"),
                format!("storage.size={volume}"),
            ];
            let arguments = set.iter().flat_map(|it| ["--set", it]);
            let text = support::pgk_stdout(["gen", "q2"].into_iter().chain(arguments));
            let (_, text) = text.split_once("# Sized by").expect("it is sized");
            let (text, _) = text.split_once("  initdb:").expect("what follows");
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let values: BTreeMap<_, _> = lines
                .filter_map(|line| line.trim().split_once(": "))
                .map(|(name, value)| (name, value.trim_matches('"').to_owned()))
                .collect();
            assert!(values.len() >= 10, "{text}");
            let refused = server.refuses(&values);
            assert!(refused.is_empty(), "{memory}, {cpu}, {volume}: {refused:?} of {values:?}");
        }
    }
}

#[test]
fn postgresql_17_takes_what_is_sized() {
    takes_what_is_sized(Version::V17);
}

#[test]
fn postgresql_18_takes_what_is_sized() {
    takes_what_is_sized(Version::V18);
}

/// The catalogue is what the script makes of the server. It takes minutes.
fn is_made_of(version: Version) {
    let Some(programs) = std::env::var_os(format!("PGK_POSTGRES_{}", version.major())) else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/postgres");
    let mut script = Command::new("python3");
    script.arg(folder.join("catalogue.py")).arg(programs);
    if let Some(root) = std::env::var_os(format!("PGK_POSTGRES_{}_ROOT", version.major())) {
        script.env("PGK_ROOT", root);
    }
    let made = script.output().expect("python3 runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8(made.stdout).expect("UTF-8");
    let there = fs::read_to_string(folder.join(format!("{}.tsv", version.major()))).expect("a catalogue");
    let lines = |text: &str| text.lines().map(ToOwned::to_owned).collect::<BTreeSet<_>>();
    let (made, there) = (lines(&made), lines(&there));
    let differs: Vec<_> = made.symmetric_difference(&there).collect();
    assert!(differs.is_empty(), "`just catalogue` makes another: {differs:#?}");
}

#[test]
fn the_catalogue_of_17_is_made_of_the_server() {
    is_made_of(Version::V17);
}

#[test]
fn the_catalogue_of_18_is_made_of_the_server() {
    is_made_of(Version::V18);
}
