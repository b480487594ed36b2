//! The scenarios, as the command line and the settings name them. What they are made of is in [`crate::scenario`].

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::types::Strategy;
use crate::error::listed;

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// A primary and replicas.
    Q1,
    /// Elections. On the command line, it is Q2 by restore as well: `q2.strategy` says which.
    Q2,
    /// A backup store.
    Q2Restore,
    /// Elections and an archive.
    Q3,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 4] = [Self::Q1, Self::Q2, Self::Q2Restore, Self::Q3];
    /// Those with a name on the command line.
    pub const NAMED: [Self; 3] = [Self::Q1, Self::Q2, Self::Q3];
    /// Those with a setting of Q2's: elections or a store.
    pub(super) const WITH_Q2: [Self; 3] = [Self::Q2, Self::Q2Restore, Self::Q3];
    /// Those with Patroni.
    pub(crate) const PATRONI: [Self; 2] = [Self::Q2, Self::Q3];
    /// Q2, whatever its strategy.
    pub(super) const EITHER_Q2: [Self; 2] = [Self::Q2, Self::Q2Restore];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q1 => "q1",
            Self::Q2 | Self::Q2Restore => "q2",
            Self::Q3 => "q3",
        }
    }

    /// Whether there is an archive, which the whole cluster can be restored from.
    pub(crate) fn has_archive(self) -> bool {
        self == Self::Q3
    }

    /// The one that `strategy` makes of it.
    pub(crate) fn with(self, strategy: Strategy) -> Self {
        match (self, strategy) {
            (Self::Q2, Strategy::Restore) => Self::Q2Restore,
            _ => self,
        }
    }

    /// Whether Patroni looks after PostgreSQL.
    pub(crate) fn has_patroni(self) -> bool {
        Self::PATRONI.contains(&self)
    }

    /// Several, as a user knows them.
    pub(crate) fn list(these: &[Self]) -> String {
        let name = |id: &Self| match id {
            Self::Q2 if !these.contains(&Self::Q2Restore) => Some("q2 by promotion"),
            Self::Q2Restore if these.contains(&Self::Q2) => None,
            Self::Q2Restore => Some("q2 by restore"),
            _ => Some(id.name()),
        };
        listed(&these.iter().filter_map(name).collect::<Vec<_>>())
    }
}

impl FromStr for Scenario {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::NAMED.into_iter().find(|id| id.name() == name);
        named.ok_or_else(|| "there is no such scenario".to_owned())
    }
}
