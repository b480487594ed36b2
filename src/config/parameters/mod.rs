//! PostgreSQL's parameters: names and values that it takes, none that undoes what the manifests promise, and none that
//! the volume, the memory or the other settings leave no room for.

mod doubts;
mod promises;
mod room;
mod schema;
mod sizing;

use super::conflicts::Conflict;
use super::plan::Plan;
use super::scenario::Scenario;
use super::types::{Strategy, Version};
use crate::error::shown;
use crate::postgres::{self, Parameter, Value};
pub(super) use schema::schema;
pub(crate) use sizing::{SizedParameter, explained};

/// What is said of parameters.
#[derive(Default)]
pub(super) struct Verdicts {
    /// What is refused.
    pub(super) refused: Vec<Conflict>,
    /// What is rendered, with a word.
    pub(super) warned: Vec<Conflict>,
}

/// Where a value is that cannot be checked without the version.
const VERSION: &[&str] = &["postgres.version"];

impl Verdicts {
    fn refuse(&mut self, key: impl Into<String>, what: impl Into<String>, help: &str) {
        self.add(Conflict::new(key, VERSION, what, help));
    }

    /// Refuses that, unless the same setting is refused already: one reason is enough.
    fn add(&mut self, conflict: Conflict) {
        if self.refused.iter().all(|said| said.key != conflict.key) {
            self.refused.push(conflict);
        }
    }

    fn warn(&mut self, key: impl Into<String>, what: impl Into<String>, help: &str) {
        self.warned.push(Conflict::new(key, VERSION, what, help));
    }
}

/// The key of a parameter.
fn key(name: &str) -> String {
    format!("postgres.parameters.{name}")
}

impl Plan {
    /// What is wrong with the parameters, and what is doubtful; only names and values where the
    /// scenario is not known. (Who restores from a store has Q2.)
    pub(super) fn parameter_verdicts(&self, scenario: Option<Scenario>) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let mut known = Vec::new();
        for (name, value) in &self.postgres.parameters {
            match self.read(name.as_str(), value.as_str()) {
                Ok(read) => known.extend(read),
                Err(conflict) => verdicts.add(*conflict),
            }
        }
        let scenario = match (scenario, self.q2.strategy) {
            (Some(scenario), _) => scenario,
            (None, Strategy::Restore) => Scenario::Q2Restore,
            (None, Strategy::Promote) => return verdicts,
        };
        let set = Set::new(self, known, scenario);
        for (parameter, value) in &set.known {
            set.promises(parameter, *value, &mut verdicts);
            Set::logs(parameter, *value, &mut verdicts);
            set.doubts(parameter, *value, &mut verdicts);
        }
        set.libraries(&mut verdicts);
        set.memory(&mut verdicts);
        set.volume(&mut verdicts);
        set.connections(&mut verdicts);
        set.workers(&mut verdicts);
        verdicts
    }

    /// A parameter and its value; `None` of one that PostgreSQL takes for an unknown extension's.
    fn read<'a>(&self, name: &str, value: &'a str) -> Result<Option<(Parameter, Value<'a>)>, Box<Conflict>> {
        let version = self.postgres.version;
        let Some(parameter) = postgres::find(version, name) else {
            let is_of_a_known_library = postgres::prefix(name).is_some_and(|library| {
                postgres::all(version).any(|known| postgres::prefix(known.name) == Some(library))
            });
            return if name.contains('.') && !is_of_a_known_library {
                Ok(None)
            } else {
                Err(Box::new(unknown(version, name)))
            };
        };
        if parameter.is_preset() {
            return Err(Box::new(Conflict::new(
                key(name),
                VERSION,
                format!("{}: PostgreSQL shows this parameter, but it cannot be set", shown(name)),
                "take it out",
            )));
        }
        let read = parameter.read(value).map_err(|rule| {
            let what = format!("{}: {} is {rule}", shown(value), parameter.name);
            let help = format!(
                "its default is {}; `pgk explain {}` says more",
                shown(&parameter.amount(parameter.default)),
                key(parameter.name)
            );
            Box::new(Conflict::new(key(name), VERSION, what, &help).at_value())
        })?;
        Ok(Some((parameter, read)))
    }

    /// Takes every parameter by the name that this version of PostgreSQL shows: not all who read them know the older ones.
    pub(super) fn name_parameters(&mut self) {
        let version = self.postgres.version;
        let newer = |name: &str| {
            let now = postgres::find(version, name)?.name.to_ascii_lowercase();
            if now == name { None } else { now.parse().ok() }
        };
        let old: Vec<_> = self
            .postgres
            .parameters
            .keys()
            .filter_map(|name| Some((name.clone(), newer(name.as_str())?)))
            .collect();
        for (name, newer) in old {
            if let Some(value) = self.postgres.parameters.remove(&name) {
                self.postgres.parameters.entry(newer).or_insert(value);
            }
        }
    }
}

/// A name that this version of PostgreSQL does not have.
fn unknown(version: Version, name: &str) -> Conflict {
    let number = version.major();
    let other = Version::ALL.into_iter().find(|other| {
        *other != version && postgres::find(*other, name).is_some_and(|parameter| !parameter.is_preset())
    });
    let what = format!("PostgreSQL {number} has no parameter {}", shown(name));
    if let Some(other) = other.map(Version::major) {
        let (what, help) = if other > number {
            (
                format!("{what}: it came with {other}"),
                format!("set postgres.version to {other}, or take it out"),
            )
        } else {
            (format!("{what}: it is gone since {number}"), "take it out".to_owned())
        };
        return Conflict::new(key(name), VERSION, what, &help);
    }
    let mut conflict = Conflict::new(key(name), VERSION, what, "");
    let otherwise = "PostgreSQL's manual lists them, \"Server Configuration\"; one of an extension has the extension's name and a dot before it";
    conflict.diagnostic = conflict.diagnostic.suggest(postgres::meant(version, name), otherwise);
    conflict
}

/// The parameters that are set and known, and what they are for.
struct Set<'a> {
    plan: &'a Plan,
    known: Vec<(Parameter, Value<'a>)>,
    /// Those that pgk sizes.
    sized: Vec<SizedParameter>,
    scenario: Scenario,
}

/// A switch, also where it is one word of several.
fn is_on(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(on),
        Value::Word("on" | "true" | "yes" | "1") => Some(true),
        Value::Word("off" | "false" | "no" | "0") => Some(false),
        _ => None,
    }
}

impl<'a> Set<'a> {
    fn new(plan: &'a Plan, known: Vec<(Parameter, Value<'a>)>, scenario: Scenario) -> Self {
        let mut set = Self { plan, known, sized: Vec::new(), scenario };
        set.size();
        set
    }
}

impl Set<'_> {
    fn is_set(&self, name: &str) -> bool {
        self.known.iter().any(|(parameter, _)| parameter.name == name)
    }

    /// The first of these that is set.
    fn first_set(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.is_set(name))
    }

    /// What a text is set to.
    fn text(&self, name: &str) -> &str {
        match self.known.iter().find(|(parameter, _)| parameter.name == name) {
            Some((_, Value::Text(text))) => text,
            _ => "",
        }
    }

    /// A number, in bytes or microseconds if it is of them: as it is set, or as pgk or PostgreSQL sets it.
    fn number(&self, name: &str) -> f64 {
        let Some(parameter) = postgres::find(self.plan.postgres.version, name) else { return 0.0 };
        let set = self.known.iter().find(|(known, _)| known.name == parameter.name).map(|(_, value)| *value);
        let sized = self.sized.iter().find(|sized| sized.name == parameter.name);
        if let (None, Some(sized)) = (set, sized) {
            return sized.number;
        }
        let volume = self.plan.storage.size.amount();
        match (set, name) {
            (None, "wal_keep_size") => return volume / 16.0,
            (None, "max_slot_wal_keep_size") => return volume / 4.0,
            _ => {}
        }
        let rendered = match (name, self.scenario) {
            ("max_wal_senders" | "max_replication_slots", _) => "32",
            ("superuser_reserved_connections", Scenario::Q2 | Scenario::Q3) => "10",
            _ => parameter.default,
        };
        let base = parameter.base().map_or(1.0, |(_, base)| base);
        match set.or_else(|| parameter.read(rendered).ok()) {
            // Below zero are no amounts, but words.
            Some(Value::Number(number)) if number < 0.0 => number,
            Some(Value::Number(number)) => number * base,
            _ => 0.0,
        }
    }
}
