//! The values that a configuration is made of. Each checks itself once, when it is read; what holds one
//! afterwards need not ask again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value as Json, json};

use crate::error::{listed, shown};

/// Makes a type out of a checked string, read from any scalar, as it stands in the file: the most bytes that
/// it may have, the pattern of the whole of it, and the rule as a user is told it. One pattern serves the reader
/// and the JSON Schema. What a pattern cannot say comes after: keywords for the schema, and a check.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $longest:literal, $pattern:expr, $rule:expr) => {
        checked_text!($(#[$doc])* $name, $longest, $pattern, $rule, {}, |_| Ok(()));
    };
    ($(#[$doc:meta])* $name:ident, $longest:literal, $pattern:expr, $rule:expr, $keywords:tt, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// What the whole text must match.
            fn pattern() -> String {
                format!("^(?:{})$", $pattern)
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&$name::pattern()).ok());
                let fits = text.len() <= $longest && PATTERN.as_ref().is_some_and(|it| it.is_match(text));
                check(fits, $rule)?;
                let more: fn(&str) -> Result<(), String> = $check;
                more(text).map(|()| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        from_scalar!($name, || {
            let mut schema = json!({
                "type": "string",
                "maxLength": $longest,
                "pattern": $name::pattern(),
                "patternErrorMessage": $rule,
            });
            if let (Json::Object(schema), Json::Object(more)) = (&mut schema, json!($keywords)) {
                schema.extend(more);
            }
            schema
        });
    };
}

/// Makes a type one setting: what a layer says takes the place of what holds.
macro_rules! one_setting {
    ($name:ident) => {
        impl crate::config::section::Setting for $name {
            type Written = Self;

            fn apply(&mut self, written: Self) {
                *self = written;
            }
        }
    };
}

/// Lets a type be read from any scalar by its `FromStr`, whose message becomes the error, and says the same
/// in JSON Schema.
macro_rules! from_scalar {
    ($name:ident, $schema:expr) => {
        one_setting!($name);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let schema: fn() -> Json = $schema;
                Schema::try_from(schema()).unwrap_or_default()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|why| de::Error::custom(format!("{}: {why}", shown(&text))))
            }
        }
    };
}

checked_text!(
    /// The instance's name, the prefix of its objects' names. Services take it, so it is an RFC 1035
    /// label; 40 characters leave room for `-primary`, a revision hash and an ordinal.
    Name,
    40,
    "[a-z]([a-z0-9-]*[a-z0-9])?",
    "a name has at most 40 lowercase letters, digits and `-`, starts with a letter and does not end with `-`"
);
checked_text!(
    /// A namespace: an RFC 1123 label.
    Namespace,
    63,
    "[a-z0-9]([a-z0-9-]*[a-z0-9])?",
    "a name has at most 63 lowercase letters, digits and `-`, starts with a letter or digit and does not end with `-`"
);
checked_text!(
    /// A `StorageClass`: an RFC 1123 subdomain.
    StorageClass,
    253,
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*",
    "a storage class name is made of lowercase letters, digits, `-` and `.`"
);
checked_text!(
    /// A container image, with its tag or digest.
    Image,
    255,
    "[A-Za-z0-9][A-Za-z0-9._/:@-]*",
    "an image looks like `docker.io/library/postgres:17`"
);
checked_text!(
    /// The application's database.
    Database,
    63,
    IDENTIFIER,
    IDENTIFIER_RULE,
    {"not": {"pattern": "^(pg_.*|postgres|template0|template1)$"}},
    |text| not_taken(text, &["postgres", "template0", "template1"])
);
checked_text!(
    /// The application's role.
    User,
    63,
    IDENTIFIER,
    IDENTIFIER_RULE,
    {"not": {"pattern": "^(pg_.*|postgres|replicator|public|none)$"}},
    |text| not_taken(text, &["postgres", "replicator", "public", "none"])
);
checked_text!(
    /// A Kubernetes quantity above zero, for example `500m` or `1Gi`.
    Quantity,
    20,
    r"([0-9]*[1-9][0-9]*(\.[0-9]+)?|0+\.[0-9]*[1-9][0-9]*)([mkMGTPE]|[KMGTPE]i)?",
    "a quantity is a number above 0 with a unit, such as `500m`, `512Mi` or `8Gi`",
    {
        "type": ["string", "number"],
        "exclusiveMinimum": 0,
        "x-unit": "bytes, or cores for cpu; m is a thousandth, k, M, G, T, P, E go by 1000 and Ki, Mi, Gi, Ti, Pi, Ei by 1024",
    },
    |_| Ok(())
);

impl Quantity {
    /// How much that is: bytes, or cores.
    pub fn amount(&self) -> f64 {
        const UNITS: [(&str, f64); 13] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("Pi", 1_125_899_906_842_624.0),
            ("Ei", 1_152_921_504_606_846_976.0),
            ("m", 1e-3),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("P", 1e15),
            ("E", 1e18),
        ];
        let text = self.as_str();
        let unit = UNITS.iter().find_map(|(unit, times)| Some((text.strip_suffix(unit)?, times)));
        let (number, times) = unit.unwrap_or((text, &1.0));
        // The type holds nothing but such numbers.
        number.parse::<f64>().unwrap_or_default() * times
    }
}

checked_text!(
    /// An amount of memory or disk in PostgreSQL's units, for example `64MB`.
    PgSize,
    11,
    "[0-9]{1,9}(kB|MB|GB|TB)",
    "a size is a whole number with `kB`, `MB`, `GB` or `TB`, such as `64MB`",
    {"x-unit": "bytes; kB, MB, GB and TB go by 1024"},
    |_| Ok(())
);
checked_text!(
    /// What a PostgreSQL parameter is set to, as in `postgresql.conf` but without quotes.
    ParameterValue,
    8192,
    r"[^\x00-\x08\x0b-\x1f\x7f-\x9f]*",
    "a parameter's value is text of at most 8192 bytes without control characters",
    {"type": ["string", "number", "boolean"]},
    |_| Ok(())
);

checked_text!(
    /// A replication slot's name.
    SlotName,
    63,
    "[a-z0-9_]+",
    "a slot's name has 1 to 63 lowercase letters, digits and `_`"
);
checked_text!(
    /// What a replication slot is for.
    SlotKind,
    63,
    "[A-Za-z0-9_]+",
    "a slot is `physical`, `foreign`, or the output plugin of a logical one, such as `pgoutput`"
);

impl SlotKind {
    /// Whether it is somebody else's.
    pub fn is_foreign(&self) -> bool {
        self.0 == "foreign"
    }

    /// Whether it is a logical one, whose output plugin this is.
    pub fn is_logical(&self) -> bool {
        !self.is_foreign() && self.0 != "physical"
    }
}

/// A PostgreSQL parameter's name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ParameterName(String);

/// Parameters that pgk sets, since the manifests rely on them, and why the user cannot.
const RESERVED: [(&str, &str); 13] = [
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
];

/// What a parameter's name looks like: a word, or an extension's name and a word.
const PARAMETER: &str = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$";
const PARAMETER_RULE: &str = "a parameter's name is made of letters, digits and `_`, such as `work_mem`";

impl ParameterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParameterName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PARAMETER).ok());
        let fits = text.len() <= 63 && PATTERN.as_ref().is_some_and(|it| it.is_match(text));
        check(fits, PARAMETER_RULE)?;
        let name = text.to_ascii_lowercase();
        match RESERVED.iter().find(|(reserved, _)| *reserved == name) {
            Some((_, why)) => Err(format!("pgk sets this parameter itself: {why}")),
            None => Ok(Self(name)),
        }
    }
}

from_scalar!(ParameterName, || {
    let refused = RESERVED.iter().map(|(name, _)| any_case(name));
    json!({
        "type": "string",
        "maxLength": 63,
        "pattern": PARAMETER,
        "patternErrorMessage": PARAMETER_RULE,
        "not": {"pattern": format!("^({})$", refused.collect::<Vec<_>>().join("|"))},
    })
});

/// Values as they are written, each with the name that it is merged by.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Named<K: Ord, V>(pub(super) BTreeMap<K, V>);

impl<K: JsonSchema + Ord, V: JsonSchema> JsonSchema for Named<K, V> {
    fn schema_name() -> Cow<'static, str> {
        format!("Map_of_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (name, value) = (generator.subschema_for::<K>(), generator.subschema_for::<V>());
        json_schema!({"type": "object", "propertyNames": name, "additionalProperties": value})
    }
}

/// The pattern of a word whose case does not count: JSON Schema knows no flags.
pub(super) fn any_case(word: &str) -> String {
    let letter = |c: char| match c.to_ascii_uppercase() {
        upper if upper == c => c.to_string(),
        upper => format!("[{upper}{c}]"),
    };
    word.chars().map(letter).collect()
}

/// PostgreSQL's major version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version(u8);

impl Version {
    /// PostgreSQL 17.
    pub const V17: Self = Self(17);
    /// PostgreSQL 18.
    pub const V18: Self = Self(18);
    /// All that pgk knows, the oldest first.
    pub const ALL: [Self; 2] = [Self::V17, Self::V18];
    /// The last of them.
    pub const NEWEST: Self = Self::V18;
    /// The version that is rendered where none is asked for.
    pub const DEFAULT: Self = Self::V17;

    /// The number.
    pub fn major(self) -> u8 {
        self.0
    }

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
        Self::ALL.into_iter().find(|version| version.0.to_string() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|version| version.0.to_string()).collect();
            format!("pgk knows PostgreSQL {}", listed(&all))
        })
    }
}

from_scalar!(Version, || json!({"enum": Version::ALL}));

/// Makes an enum out of the words that a key may be set to.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $($(#[doc = $meaning:literal])+ $variant:ident = $word:literal),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum $name {
            $($(#[doc = $meaning])+ #[serde(rename = $word)] $variant),+
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

        from_scalar!($name, || choice_schema(&[$(($word, concat!($($meaning),+))),+]));
    };
}

/// The JSON Schema of these words, each with its meaning. YAML reads `true` and `false` as booleans.
fn choice_schema(words: &[(&str, &str)]) -> Json {
    let word = |word: &str| word.parse().map_or_else(|_| Json::from(word), |it: bool| it.into());
    let (words, meanings): (Vec<_>, Vec<_>) =
        words.iter().map(|(it, meaning)| (word(it), meaning.trim())).unzip();
    json!({"enum": words, "enumDescriptions": meanings})
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
    /// Whether parameters follow from what a container is given.
    Sizing,
    "sizing is `auto` or `none`",
    /// They follow from the memory limit, the CPU and the volume: `pgk explain postgres.parameters.work_mem` says how.
    Auto = "auto",
    /// They are PostgreSQL's defaults.
    Off = "none"
);
choice!(
    /// How a new primary is found.
    Strategy,
    "the strategy is `promote` or `restore`",
    /// A replica is promoted.
    Promote = "promote",
    /// A new primary is restored from a backup store.
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
    /// How connections between members, and from clients, are protected.
    Tls,
    "tls is `encrypted` or `off`",
    /// Encrypted inside the cluster, and for every client that asks for it; nobody's certificate is verified.
    Encrypted = "encrypted",
    /// In the clear.
    Off = "off"
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
    /// No replica at all.
    pub const NONE: Self = Self(0);
    /// More than this needs a primary with more WAL senders than pgk gives it.
    pub const MOST: u8 = 12;

    /// The number.
    pub fn count(self) -> u8 {
        self.0
    }
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

from_scalar!(Replicas, || json!({"type": "integer", "minimum": 0, "maximum": Replicas::MOST}));

/// How many base backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backups(u8);

impl FromStr for Backups {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..=30) => Ok(Self(count)),
            _ => Err("the number of backups is a whole number from 1 to 30".to_owned()),
        }
    }
}

from_scalar!(Backups, || json!({"type": "integer", "minimum": 1, "maximum": 30}));

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
            _ => Err(INTERVAL_RULE.to_owned()),
        }
    }
}

const INTERVAL_RULE: &str =
    "an interval is a whole number with `m`, `h` or `d`, such as `6h`, from 1m to 30d";

from_scalar!(Interval, || json!({
    "type": "string",
    // 43200 minutes, 720 hours, 30 days.
    "pattern": "^0*(([1-9][0-9]{0,3}|[1-3][0-9]{4}|4[0-2][0-9]{3}|43[01][0-9]{2}|43200)m|([1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)h|([1-9]|[12][0-9]|30)d)$",
    "patternErrorMessage": INTERVAL_RULE,
    "x-unit": "minutes (m), hours (h) or days (d)",
}));

mod archive;

pub use archive::{
    Account, ArchiveTimeout, AzureKey, BackupSet, Bucket, Certificates, Container, Endpoint, Fingerprint,
    GcsKey, HostName, KnownHosts, Lsn, Moment, Port, Region, RepoKind, RepoPath, Repos, RestorePoint, S3Key,
    Schedule, SftpUser, Target, TargetTimeline, UriStyle,
};

mod selector;

pub use selector::{Peers, Pods, Selector};

/// A whole number with one of these units, each so many seconds; `None` if it is none, or far too large.
fn seconds(text: &str, units: &[(char, u32)]) -> Option<u32> {
    let (digits, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(*name)?, unit)))?;
    let digits = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse::<u32>().ok()?.checked_mul(*unit)
}

fn check(fits: bool, rule: &str) -> Result<(), String> {
    if fits { Ok(()) } else { Err(rule.to_owned()) }
}

/// PostgreSQL takes any text of up to 63 bytes as an identifier; longer ones it would silently cut.
const IDENTIFIER: &str = r"[^\x00-\x1f\x7f-\x9f]+";
const IDENTIFIER_RULE: &str = "a name in PostgreSQL has 1 to 63 bytes and no control characters";

fn not_taken(text: &str, taken: &[&str]) -> Result<(), String> {
    check(!text.starts_with("pg_"), "PostgreSQL keeps names that start with `pg_` to itself")?;
    check(!taken.contains(&text), "PostgreSQL or pgk uses this name itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reader and the JSON Schema take what is good, and neither takes what is bad.
    pub(super) fn fits<T: FromStr + JsonSchema>(good: &[&str], bad: &[&str]) {
        fits_but_for_the_schema::<T>(good, bad, &[]);
    }

    /// The same; the schema cannot say what is wrong with the `unsaid`.
    pub(super) fn fits_but_for_the_schema<T: FromStr + JsonSchema>(
        good: &[&str],
        bad: &[&str],
        unsaid: &[&str],
    ) {
        let schema = SchemaGenerator::default().into_root_schema_for::<T>();
        let schema = jsonschema::validator_for(schema.as_value()).unwrap();
        // As YAML reads a scalar.
        let value = |text: &str| match serde_json::from_str(text) {
            Ok(value @ (Json::Number(_) | Json::Bool(_))) => value,
            _ => Json::from(text),
        };
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text} is good");
            assert!(schema.is_valid(&value(text)), "{text} is good for the schema");
        }
        for text in bad.iter().chain(unsaid) {
            assert!(text.parse::<T>().is_err(), "{text} is bad");
        }
        for text in bad {
            assert!(!schema.is_valid(&value(text)), "{text} is bad for the schema");
        }
        for text in unsaid {
            assert!(schema.is_valid(&value(text)), "the schema says what is wrong with {text}");
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
        let amounts = ["1", "500m", "1.5Gi", "8Gi", "2k", "0.5E"]
            .map(|text| text.parse::<Quantity>().unwrap().amount());
        let amounts = amounts.map(|amount| format!("{amount}"));
        assert_eq!(amounts, ["1", "0.5", "1610612736", "8589934592", "2000", "500000000000000000"]);
        fits::<PgSize>(&["64MB", "1GB"], &["", "64", "MB", "64Mi", "1.5GB"]);
        fits::<ParameterName>(
            &["work_mem", "pg_stat_statements.track", "DateStyle"],
            &["", "port", "PORT", "a.b.c", "a-b", "a = b"],
        );
        fits::<SlotName>(&["cdc", "a_1", "x1"], &["", "Cdc", "a-b", "é", &"a".repeat(64), "a\n"]);
        fits::<SlotKind>(&["pgoutput", "physical", "wal2json"], &["", "a b", "$libdir/x", "a\n"]);
        fits_but_for_the_schema::<ParameterValue>(
            &["", "off", "it's\n", "1.5", "true"],
            &["a\0", "\u{1b}[0m", &"x".repeat(8193)],
            // It counts characters.
            &[&"é".repeat(5000)],
        );
        fits_but_for_the_schema::<Replicas>(&["0", "12"], &["", "13", "-1", "two"], &["1.0"]);
        fits::<Backups>(&["1", "30"], &["", "0", "31", "-1"]);
        fits::<Interval>(&["1m", "6h", "30d"], &["", "6", "0h", "31d", "h", "1.5h", "+6h", "99999999999h"]);
        fits::<Version>(&["17", "18"], &["16", "017", ""]);
    }
}
