//! The values that a configuration is made of. Each checks itself once, when it is read; what holds one
//! afterwards need not ask again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Makes a type out of a checked string: read from any scalar, as it stands in the file.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        from_scalar!($name);
    };
}

/// Lets a type be read from any scalar by its `FromStr`, whose message becomes the error.
macro_rules! from_scalar {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|why| de::Error::custom(format!("{}: {why}", shown(&text))))
            }
        }
    };
}

/// A value as an error shows it: in backquotes, on one line, not too long.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

checked_text!(
    /// The instance's name, the prefix of its objects' names. Services take it, so it is an RFC 1035
    /// label; 40 characters leave room for `-primary`, a revision hash and an ordinal.
    Name,
    |text| dns_label(text, 40, true)
);
checked_text!(
    /// A namespace: an RFC 1123 label.
    Namespace,
    |text| dns_label(text, 63, false)
);
checked_text!(
    /// A `StorageClass`: an RFC 1123 subdomain.
    StorageClass,
    |text| {
        let fits = text.len() <= 253 && text.split('.').all(|label| dns_label(label, 253, false).is_ok());
        check(fits, "a storage class name is made of lowercase letters, digits, `-` and `.`")
    }
);
checked_text!(
    /// A container image, with its tag or digest.
    Image,
    |text| {
        let fits = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b))
            && text.len() <= 255;
        check(fits, "an image looks like `docker.io/library/postgres:17`")
    }
);
checked_text!(
    /// The application's database.
    Database,
    |text| identifier(text, &["postgres", "template0", "template1"])
);
checked_text!(
    /// The application's role.
    User,
    |text| identifier(text, &["postgres", "replicator", "public", "none"])
);
checked_text!(
    /// A Kubernetes quantity above zero, for example `500m` or `1Gi`.
    Quantity,
    |text| {
        let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let (whole, rest) = text.split_at(text.len() - digits.len());
        let (fraction, unit) = match rest.strip_prefix('.') {
            None => ("", rest),
            Some(rest) => rest.split_at(rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len()),
        };
        let known = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].contains(&unit);
        let positive = whole.bytes().chain(fraction.bytes()).any(|b| b != b'0');
        let fits = !whole.is_empty() && text.len() <= 20 && (!rest.starts_with('.') || !fraction.is_empty());
        check(fits && known && positive, "a quantity is a number above 0 with a unit, such as `500m`, `512Mi` or `8Gi`")
    }
);
checked_text!(
    /// An amount of memory or disk in PostgreSQL's units, for example `64MB`.
    PgSize,
    |text| {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = text.len() - unit.len();
        let fits = (1..=9).contains(&digits) && ["kB", "MB", "GB", "TB"].contains(&unit);
        check(fits, "a size is a whole number with `kB`, `MB`, `GB` or `TB`, such as `64MB`")
    }
);
checked_text!(
    /// What a PostgreSQL parameter is set to, as in `postgresql.conf` but without quotes.
    ParameterValue,
    |text| {
        let fits = text.len() <= 8192 && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
        check(fits, "a parameter's value is text of at most 8192 bytes without control characters")
    }
);

/// A PostgreSQL parameter's name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ParameterName(String);

/// Parameters that pgk sets, since the manifests rely on them, and why the user cannot.
const RESERVED: [(&str, &str); 14] = [
    ("cluster_name", "it is the pod's name, by which the primary tells its replicas apart"),
    ("config_file", "pgk renders that file"),
    ("data_directory", "it is the volume that the manifests mount"),
    ("external_pid_file", "the container's file system is read-only"),
    ("hba_file", "pgk renders that file"),
    ("hot_standby", "replicas serve reads"),
    ("ident_file", "the rendered folder has none"),
    ("listen_addresses", "the Services need every address"),
    ("port", "the Services use 5432"),
    ("primary_conninfo", "replicas follow the read/write Service"),
    ("primary_slot_name", "a slot of a replica that is gone would fill the primary's disk"),
    ("recovery_target_timeline", "replicas follow the primary's newest timeline"),
    ("unix_socket_directories", "the probes use the image's own"),
    ("wal_level", "replication needs `replica`"),
];

/// Parameters that PostgreSQL shows and takes from nobody: with one of them in its configuration, it does not start.
const PRESET: [&str; 20] = [
    "block_size",
    "data_checksums",
    "data_directory_mode",
    "debug_assertions",
    "huge_pages_status",
    "in_hot_standby",
    "integer_datetimes",
    "max_function_args",
    "max_identifier_length",
    "max_index_keys",
    "num_os_semaphores",
    "segment_size",
    "server_encoding",
    "server_version",
    "server_version_num",
    "shared_memory_size",
    "shared_memory_size_in_huge_pages",
    "ssl_library",
    "wal_block_size",
    "wal_segment_size",
];

impl ParameterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParameterName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let word = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let fits = text.len() <= 63 && text.split('.').count() <= 2 && text.split('.').all(word);
        check(fits, "a parameter's name is made of letters, digits and `_`, such as `work_mem`")?;
        let name = text.to_ascii_lowercase();
        check(!PRESET.contains(&name.as_str()), "PostgreSQL shows this parameter, but it cannot be set")?;
        match RESERVED.iter().find(|(reserved, _)| *reserved == name) {
            Some((_, why)) => Err(format!("pgk sets this parameter itself: {why}")),
            None => Ok(Self(name)),
        }
    }
}

from_scalar!(ParameterName);

/// PostgreSQL's major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version(u8);

impl Version {
    /// The version that is rendered where none is asked for.
    pub const DEFAULT: Self = Self(17);

    /// The image of this version that is built from the rendered Containerfile.
    pub fn built_image(self) -> Image {
        Image(format!("localhost/pgk-postgres:{}", self.0))
    }

    /// The official image of this version.
    pub fn official_image(self) -> Image {
        Image(format!("docker.io/library/postgres:{}", self.0))
    }
}

impl FromStr for Version {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "17" => Ok(Self(17)),
            "18" => Ok(Self(18)),
            _ => Err("pgk knows PostgreSQL 17 and 18".to_owned()),
        }
    }
}

from_scalar!(Version);

/// Makes an enum out of the words that a key may be set to.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($rule.to_owned()),
                }
            }
        }

        from_scalar!($name);
    };
}

choice!(
    /// The language of the generated README.
    Lang,
    "the README is written in `fr` or `en`",
    /// French, the default.
    Fr = "fr",
    /// English.
    En = "en"
);
choice!(
    /// How a new primary comes about.
    Strategy,
    "the strategy is `promote` or `restore`",
    /// A replica is promoted.
    Promote = "promote",
    /// The primary is made anew from a backup store.
    Restore = "restore"
);
choice!(
    /// The kind of Kubernetes object in which Patroni keeps the leader's lease and its other state.
    Dcs,
    "Patroni keeps its state in `configmaps` or `endpoints`",
    /// `ConfigMaps`; the new primary leads the read/write Service to itself.
    ConfigMaps = "configmaps",
    /// Endpoints, which lead the read/write Service as well.
    Endpoints = "endpoints"
);
choice!(
    /// What an acknowledged commit can rely on.
    Durability,
    "durability is `strict`, `synchronous`, `asynchronous` or `available`",
    /// It is on two members, always: without a standby, writes wait.
    Strict = "strict",
    /// It is on two members as long as there are two; a primary left alone goes on.
    Synchronous = "synchronous",
    /// It is on the primary; a failover may lose the last ones.
    Asynchronous = "asynchronous",
    /// It is in the backup store, as long as the store can be reached.
    Available = "available"
);
choice!(
    /// A switch.
    Switch,
    "this is `true` or `false`",
    /// On.
    On = "true",
    /// Off.
    Off = "false"
);

/// How many replicas there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replicas(u8);

impl Replicas {
    /// The number that is rendered where none is asked for.
    pub const DEFAULT: Self = Self(2);
    /// No replica at all.
    pub const NONE: Self = Self(0);
    /// More than this needs a primary with more WAL senders than pgk gives it.
    const MOST: u8 = 12;
}

impl FromStr for Replicas {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count) if count <= Self::MOST => Ok(Self(count)),
            _ => Err(format!("the number of replicas is a whole number from 0 to {}", Self::MOST)),
        }
    }
}

from_scalar!(Replicas);

/// How many base backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backups(u8);

impl Backups {
    /// The number where none is asked for.
    pub const DEFAULT: Self = Self(2);
}

impl FromStr for Backups {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..=30) => Ok(Self(count)),
            _ => Err("the number of backups is a whole number from 1 to 30".to_owned()),
        }
    }
}

from_scalar!(Backups);

/// A time between two things that are done again and again, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Interval(u32);

impl FromStr for Interval {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const SHORTEST: u32 = 60;
        const LONGEST: u32 = 30 * 86_400;
        match seconds(text, &[('m', 60), ('h', 3600), ('d', 86_400)]) {
            Some(seconds @ SHORTEST..=LONGEST) => Ok(Self(seconds)),
            _ => {
                Err("an interval is a whole number with `m`, `h` or `d`, such as `6h`, from 1m to 30d"
                    .to_owned())
            }
        }
    }
}

from_scalar!(Interval);

mod archive;

pub use archive::{
    Account, ArchiveTimeout, AzureKey, BackupSet, Bucket, Certificates, Container, Endpoint, Fingerprint,
    GcsKey, HostName, KnownHosts, Lsn, Moment, Port, Region, RepoKind, RepoPath, Repos, RestorePoint, S3Key,
    Schedule, SftpUser, Target, TargetTimeline, UriStyle,
};

/// A whole number with one of these units, each so many seconds; `None` if it is none, or far too large.
fn seconds(text: &str, units: &[(char, u32)]) -> Option<u32> {
    let (digits, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(*name)?, unit)))?;
    let digits = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse::<u32>().ok()?.checked_mul(*unit)
}

fn check(fits: bool, rule: &str) -> Result<(), String> {
    if fits { Ok(()) } else { Err(rule.to_owned()) }
}

fn dns_label(text: &str, longest: usize, letter_first: bool) -> Result<(), String> {
    let start = |c: char| c.is_ascii_lowercase() || (!letter_first && c.is_ascii_digit());
    let fits = text.len() <= longest
        && text.starts_with(start)
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let first = if letter_first { "a letter" } else { "a letter or digit" };
    check(
        fits,
        &format!(
            "a name has at most {longest} lowercase letters, digits and `-`, starts with {first} and does not end with `-`"
        ),
    )
}

/// PostgreSQL takes any text of up to 63 bytes as an identifier; longer ones it would silently cut.
fn identifier(text: &str, taken: &[&str]) -> Result<(), String> {
    let fits = !text.is_empty() && text.len() <= 63 && !text.chars().any(char::is_control);
    check(fits, "a name in PostgreSQL has 1 to 63 bytes and no control characters")?;
    check(!text.starts_with("pg_"), "PostgreSQL keeps names that start with `pg_` to itself")?;
    check(!taken.contains(&text), "PostgreSQL or pgk uses this name itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn fits<T: FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text} is good");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text} is bad");
        }
    }

    #[test]
    fn each_type_checks_itself() {
        fits::<Name>(&["pg", "a-1"], &["", "1a", "Pg", "a-", "a_b", "é", &"a".repeat(41), "a\n"]);
        fits::<Namespace>(&["1a", "tp8"], &["", "-a", "a.b", "{{x}}"]);
        fits::<StorageClass>(&["local-path", "a.b"], &["", "a..b", "A", "a b"]);
        fits::<Image>(&["postgres:17", "r.io:5000/a/b@sha256:00"], &["", "-x", "a b", "a\nb", "$(x)"]);
        fits::<User>(
            &["app", "o'Brien", "x\"y", "{{ x }}"],
            &["", "postgres", "pg_x", "a\0", "a\nb", &"x".repeat(64)],
        );
        fits::<Quantity>(
            &["1", "500m", "1.5Gi", "8Gi"],
            &["", "0", "0Gi", "-1", "1.", ".5", "1GiB", "1 Gi", "Gi"],
        );
        fits::<PgSize>(&["64MB", "1GB"], &["", "64", "MB", "64Mi", "1.5GB"]);
        fits::<ParameterName>(
            &["work_mem", "pg_stat_statements.track"],
            &["", "port", "PORT", "a.b.c", "a-b", "a = b", "wal_segment_size"],
        );
        fits::<ParameterValue>(&["", "off", "it's\n"], &["a\0", "\u{1b}[0m", &"x".repeat(8193)]);
        fits::<Replicas>(&["0", "12"], &["", "13", "-1", "two", "1.0"]);
        fits::<Backups>(&["1", "30"], &["", "0", "31", "-1"]);
        fits::<Interval>(&["1m", "6h", "30d"], &["", "6", "0h", "31d", "h", "1.5h", "+6h", "99999999999h"]);
        fits::<Version>(&["17", "18"], &["16", "017", ""]);
    }
}
