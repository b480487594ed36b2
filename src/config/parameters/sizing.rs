//! Parameters that follow from what the settings give: the memory limit, the CPU and the volume.

use serde::Serialize;

use super::super::plan::Plan;
use super::super::scenario::Scenario;
use super::super::settings::wrapped;
use super::super::types::{Quantity, Sizing};
use super::Set;
use crate::postgres::{self, Amount, Parameter, Unit};

const MB: f64 = 1_048_576.0;
const GB: f64 = 1024.0 * MB;
/// A WAL file.
const FILE: f64 = 16.0 * MB;

/// A parameter that pgk sizes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SizedParameter {
    pub(crate) name: &'static str,
    /// As it is rendered.
    pub(crate) value: String,
    /// The rule, with the amount that it follows from, in lines.
    why: Vec<String>,
    /// In bytes, if it is of them.
    #[serde(skip)]
    pub(super) number: f64,
}

/// What a parameter follows from.
#[derive(Debug, Clone, Copy)]
enum Source {
    Memory,
    Cpu,
    Volume,
}

struct Rule {
    name: &'static str,
    from: Source,
    /// In words; `{}` is where its source stands.
    words: &'static str,
    /// What comes of so many bytes or whole cores; `None` where PostgreSQL's default is right.
    number: fn(&Set<'_>, f64) -> Option<f64>,
}

/// Each may use what those before it come to.
const RULES: [Rule; 11] = [
    Rule {
        name: "shared_buffers",
        from: Source::Memory,
        words: "a quarter of {}",
        number: |_, memory| Some(memory / 4.0),
    },
    Rule {
        name: "effective_cache_size",
        from: Source::Memory,
        words: "three quarters of {}: shared_buffers and the page cache",
        number: |_, memory| Some(0.75 * memory),
    },
    Rule {
        name: "maintenance_work_mem",
        from: Source::Memory,
        words: "a sixteenth of {}, at most 2GB",
        number: |_, memory| Some((memory / 16.0).min(2.0 * GB)),
    },
    // At 1Gi, a third would be less than PostgreSQL's default, though there is room for that.
    Rule {
        name: "work_mem",
        from: Source::Memory,
        words: "what shared_buffers leaves of {}, divided by three times max_connections; up to 4MB if all of them have room",
        number: |set, memory| {
            let each = (memory - set.number("shared_buffers")) / set.number("max_connections").max(1.0);
            Some((each / 3.0).max(each.min(4.0 * MB)))
        },
    },
    // The more, the fewer checkpoints, and the longer PostgreSQL replays after a crash.
    Rule {
        name: "max_wal_size",
        from: Source::Volume,
        words: "an eighth of {}, at most 4GB",
        number: |_, volume| Some((volume / 8.0).clamp(2.0 * FILE, 4.0 * GB)),
    },
    Rule {
        name: "min_wal_size",
        from: Source::Volume,
        words: "a quarter of max_wal_size",
        number: |set, _| Some((set.number("max_wal_size") / 4.0).max(2.0 * FILE)),
    },
    Rule {
        name: "random_page_cost",
        from: Source::Volume,
        words: "for solid-state disks: a page anywhere costs little more than the next one",
        number: |_, _| Some(1.1),
    },
    // A standby does not start with fewer than its primary had when it wrote its WAL. Patroni takes care of that; without
    // it, PostgreSQL's 8 are left as they are.
    Rule {
        name: "max_worker_processes",
        from: Source::Cpu,
        words: "as many as {} has cores, if these are more than 8",
        number: |set, cores| Some(cores).filter(|it| *it > 8.0 && set.scenario.has_patroni()),
    },
    Rule {
        name: "max_parallel_workers",
        from: Source::Cpu,
        words: "as many as {} has cores, at most max_worker_processes",
        number: |set, cores| Some(cores.min(set.number("max_worker_processes"))),
    },
    Rule {
        name: "max_parallel_workers_per_gather",
        from: Source::Cpu,
        words: "half as many as {} has cores, at most 4",
        number: |_, cores| Some((cores / 2.0).floor().min(4.0)),
    },
    Rule {
        name: "max_parallel_maintenance_workers",
        from: Source::Cpu,
        words: "half as many as {} has cores, at most 4",
        number: |_, cores| Some((cores / 2.0).floor().min(4.0)),
    },
];

impl Plan {
    /// The parameters that are sized: those that the user does not set.
    pub(crate) fn sized(&self, scenario: Scenario) -> Vec<SizedParameter> {
        let parameters = self.postgres.parameters.iter();
        let known = parameters.filter_map(|(name, value)| self.read(name.as_str(), value.as_str()).ok()?);
        Set::new(self, known.collect(), scenario).sized
    }

    /// What a rule follows from: in words, how much, and whether there may be more of it.
    fn source(&self, of: Source) -> Option<(String, f64, bool)> {
        let (limits, requests) = (&self.resources.limits, &self.resources.requests);
        let given = |what: &str, it: &Quantity| (format!("{what} of {it}"), it.amount());
        let ((words, amount), is_least) = match (of, &limits.cpu, &requests.cpu) {
            (Source::Memory, ..) => (given("the memory limit", limits.memory.as_ref()?), false),
            (Source::Volume, ..) => (given("the volume", &self.storage.size), false),
            (Source::Cpu, Some(limit), _) => (given("the CPU limit", limit), false),
            // A node may have more to give than what is requested.
            (Source::Cpu, None, Some(request)) => (given("the CPU request", request), true),
            (Source::Cpu, None, None) => return None,
        };
        let is_cpu = matches!(of, Source::Cpu);
        Some((words, if is_cpu { amount.floor().clamp(1.0, 1024.0) } else { amount }, is_least))
    }
}

impl Set<'_> {
    /// Sizes what is not set.
    pub(super) fn size(&mut self) {
        if self.plan.postgres.sizing == Sizing::Off {
            return;
        }
        for rule in &RULES {
            let Some((words, amount, is_least)) = self.plan.source(rule.from) else { continue };
            let parameter = postgres::find(self.plan.postgres.version, rule.name);
            let (Some(parameter), false) = (parameter, self.is_set(rule.name)) else { continue };
            let default = self.number(rule.name);
            let Some(number) = (rule.number)(self, amount).map(|it| fitting(&parameter, it)) else {
                continue;
            };
            if is_least && number <= default {
                continue;
            }
            let value = match parameter.base() {
                Some(_) => Amount(number, Unit::Memory).to_string(),
                None => number.to_string(),
            };
            let why = wrapped(&rule.words.replace("{}", &words), 90);
            self.sized.push(SizedParameter { name: rule.name, value, why, number });
        }
    }
}

/// The largest number of so many bytes or less that is easy to read and that the parameter takes.
fn fitting(parameter: &Parameter, number: f64) -> f64 {
    let Some((_, base)) = parameter.base() else { return number };
    let step = match parameter.name {
        "max_wal_size" | "min_wal_size" => FILE,
        _ if number < 4.0 * MB => MB / 16.0,
        _ => MB,
    };
    let (least, most) = parameter.span().unwrap_or_default();
    let bound = |text: &str, otherwise: f64| text.parse::<f64>().map_or(otherwise, |it| it * base);
    ((number / step).floor() * step).max(bound(least, 0.0)).min(bound(most, f64::MAX))
}

/// How a parameter is sized, in words: its rule, and what comes of it where nothing is set.
pub(crate) fn explained(name: &str) -> Option<String> {
    // What is kept for replicas is sized always: without, a primary's volume could fill up.
    match name {
        "max_slot_wal_keep_size" => return Some("a quarter of the volume, always".to_owned()),
        "wal_keep_size" => return Some("a sixteenth of the volume, always".to_owned()),
        _ => {}
    }
    let rule = RULES.iter().find(|rule| rule.name == name)?;
    let (source, more) = match rule.from {
        Source::Memory => ("the memory limit", ""),
        Source::Volume => ("the volume", ""),
        Source::Cpu => (
            "the CPU limit",
            "; if there is no limit, the CPU request counts, where more than the default comes of it",
        ),
    };
    let words = rule.words.replace("{}", source);
    let sized = Plan::at_first().ok()?.sized(Scenario::Q2).into_iter().find(|it| it.name == name);
    let at_first = sized.map(|it| format!("; {} where nothing is set", it.value)).unwrap_or_default();
    let only = if name == "max_worker_processes" { "; in Q2 by promotion and Q3 only" } else { "" };
    Some(format!("{words}{more}{at_first}{only}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Sources, load};
    use crate::postgres::Value;

    fn plan(scenario: Scenario, set: &[String]) -> Result<Plan, String> {
        let strategy = if scenario == Scenario::Q2Restore { "restore" } else { "promote" };
        let strategy = format!("q2.strategy={strategy}");
        // It is another scenario's.
        let strategy = (scenario != Scenario::Q1 && scenario != Scenario::Q3).then_some(strategy);
        let set = strategy.into_iter().chain(set.iter().cloned()).collect();
        let sources = Sources { set, scenario: Some(scenario), ..Sources::default() };
        load(&sources).map_err(|error| error.to_string())
    }

    /// `NAME=VALUE` of all that is sized.
    fn sized(scenario: Scenario, set: &[&str]) -> Vec<String> {
        let set: Vec<_> = set.iter().map(|it| (*it).to_owned()).collect();
        let all = plan(scenario, &set).unwrap().sized(scenario);
        all.into_iter().map(|it| format!("{}={}", it.name, it.value)).collect()
    }

    const REQUESTS: &str = "resources.requests.memory=1Mi";

    #[test]
    fn everything_follows_from_what_is_given() {
        let at_first = [
            "shared_buffers=256MB",
            "effective_cache_size=768MB",
            "maintenance_work_mem=64MB",
            "work_mem=4MB",
            "max_wal_size=1GB",
            "min_wal_size=256MB",
            "random_page_cost=1.1",
        ];
        assert_eq!(sized(Scenario::Q2, &[]), at_first);
        assert_eq!(sized(Scenario::Q1, &["postgres.sizing=none"]), [""; 0]);
        let large = ["resources.limits.memory=64Gi", "resources.limits.cpu=15500m", "storage.size=1Ti"];
        assert_eq!(
            sized(Scenario::Q3, &large),
            [
                "shared_buffers=16GB",
                "effective_cache_size=48GB",
                "maintenance_work_mem=2GB",
                "work_mem=163MB",
                "max_wal_size=4GB",
                "min_wal_size=1GB",
                "random_page_cost=1.1",
                "max_worker_processes=15",
                "max_parallel_workers=15",
                "max_parallel_workers_per_gather=4",
                "max_parallel_maintenance_workers=4",
            ]
        );
        // Without Patroni, a standby could be left with fewer than its primary had.
        let without = sized(Scenario::Q1, &large);
        assert!(without.iter().all(|it| !it.starts_with("max_worker_processes")), "{without:?}");
        assert!(without.contains(&"max_parallel_workers=8".to_owned()), "{without:?}");
        let small =
            [REQUESTS, "resources.limits.memory=128Mi", "resources.limits.cpu=250m", "storage.size=512Mi"];
        assert_eq!(
            sized(Scenario::Q2Restore, &small),
            [
                "shared_buffers=32MB",
                "effective_cache_size=96MB",
                "maintenance_work_mem=8MB",
                "work_mem=960kB",
                "max_wal_size=64MB",
                "min_wal_size=32MB",
                "random_page_cost=1.1",
                "max_parallel_workers=1",
                "max_parallel_workers_per_gather=0",
                "max_parallel_maintenance_workers=0",
            ]
        );
    }

    /// By whatever name, and what follows from it follows from what is set.
    #[test]
    fn what_is_set_is_not_sized() {
        let set = ["SORT_MEM=1MB", "shared_buffers=512MB", "max_wal_size=2GB", "max_connections=20"];
        let set = set.map(|it| format!("postgres.parameters.{it}"));
        let found = sized(Scenario::Q1, &set.each_ref().map(String::as_str));
        assert_eq!(
            found,
            [
                "effective_cache_size=768MB",
                "maintenance_work_mem=64MB",
                "min_wal_size=512MB",
                "random_page_cost=1.1"
            ]
        );
        let found = sized(Scenario::Q1, &set.each_ref().map(String::as_str)[1..]);
        // A third of what the other half of 1Gi gives to each of twenty.
        assert!(found.contains(&"work_mem=8MB".to_owned()), "{found:?}");
    }

    /// Of a node, more than is requested may be free.
    #[test]
    fn a_request_alone_only_adds() {
        let with = |cpu: &str| sized(Scenario::Q2, &[&format!("resources.requests.cpu={cpu}")])[7..].to_vec();
        assert_eq!(with("2"), [""; 0]);
        assert_eq!(with("6"), ["max_parallel_workers_per_gather=3", "max_parallel_maintenance_workers=3"]);
        assert_eq!(with("12")[..2], ["max_worker_processes=12", "max_parallel_workers=12"]);
    }

    #[test]
    fn the_rule_says_the_amount() {
        let set = [REQUESTS.to_owned(), "resources.limits.memory=1.5Gi".to_owned()];
        let all = plan(Scenario::Q1, &set).unwrap().sized(Scenario::Q1);
        assert_eq!(all[0].why, ["a quarter of the memory limit of 1.5Gi"]);
        assert!(
            all.iter().flat_map(|it| &it.why).all(|line| line.chars().count() <= 90 && !line.contains('{'))
        );
    }

    #[test]
    fn rules_are_explained() {
        assert_eq!(
            explained("shared_buffers").unwrap(),
            "a quarter of the memory limit; 256MB where nothing is set"
        );
        assert!(explained("max_parallel_workers").unwrap().contains("as many as the CPU limit has cores"));
        assert!(explained("wal_keep_size").is_some());
        assert_eq!(explained("log_statement"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is given, PostgreSQL takes what is sized, it has room, and the checks have nothing to say of it, also
        /// where a user copies it into the parameters.
        #[test]
        fn the_default_sizing_is_never_doubted(
            memory in 5.0..24.0, // powers of two of MiB
            volume in 7.0..26.0,
            cpu in proptest::option::of(-3.0..8.0), // powers of two of cores
            is_limit: bool,
            connections in proptest::option::of(20..1000_u32),
            scenario in proptest::sample::select(&Scenario::ALL[..]),
        ) {
            let megabytes = |power: f64| format!("{:.0}Mi", 2_f64.powf(power));
            let limit: Quantity = megabytes(memory).parse().unwrap();
            let mut set = vec![
                REQUESTS.to_owned(),
                format!("resources.limits.memory={limit}"),
                format!("storage.size={}", megabytes(volume)),
            ];
            let cores = cpu.map(|power| (1000.0 * 2_f64.powf(power)).round() / 1000.0);
            let which = if is_limit { "limits" } else { "requests" };
            set.extend(cores.map(|cores| format!("resources.{which}.cpu={cores}")));
            set.extend(connections.map(|number| format!("postgres.parameters.max_connections={number}")));
            let given = plan(scenario, &set).map_err(TestCaseError::fail)?;
            prop_assert!(given.warnings.is_empty(), "{:?}", given.warnings);
            let sized = given.sized(scenario);

            let number = |name: &str| sized.iter().find(|it| it.name == name).map(|it| it.number);
            for one in &sized {
                let parameter = postgres::find(given.postgres.version, one.name).unwrap();
                let base = parameter.base().map_or(1.0, |(_, base)| base);
                match parameter.read(&one.value) {
                    Ok(Value::Number(read)) => prop_assert!((read * base - one.number).abs() < 1e-9, "{one:?}"),
                    other => return Err(TestCaseError::fail(format!("{one:?}: {other:?}"))),
                }
            }
            let (limit, shared) = (limit.amount(), number("shared_buffers").unwrap());
            prop_assert!(shared <= limit / 4.0 && shared > limit / 4.6);
            let sorts = number("work_mem").unwrap() * f64::from(connections.unwrap_or(100));
            prop_assert!(sorts <= limit - shared || number("work_mem") == Some(65536.0), "{sorts}");
            prop_assert!(3.0 * number("maintenance_work_mem").unwrap() <= limit - shared);
            prop_assert!(number("min_wal_size") <= number("max_wal_size"));
            prop_assert!(number("max_wal_size").unwrap() + given.storage.size.amount() / 4.0 < given.storage.size.amount());
            let workers = number("max_parallel_workers").unwrap_or(8.0);
            prop_assert!(workers <= number("max_worker_processes").unwrap_or(8.0));
            prop_assert!(number("max_worker_processes").is_none() || scenario.has_patroni());
            prop_assert!(!is_limit || cores.is_none_or(|cores| workers <= cores.max(1.0)));

            set.extend(sized.iter().map(|it| format!("postgres.parameters.{}={}", it.name, it.value)));
            let copied = plan(scenario, &set).map_err(TestCaseError::fail)?;
            prop_assert!(copied.warnings.is_empty(), "{:?}", copied.warnings);
            prop_assert!(copied.sized(scenario).is_empty());
        }
    }
}
