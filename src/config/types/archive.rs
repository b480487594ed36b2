//! The values that an archive's configuration is made of.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value as Json, json};
use time::Date;
use time::macros::format_description;

use super::{any_case, check, choice_schema, seconds};
use crate::error::shown;

/// The pattern of a host's name.
macro_rules! host {
    () => {
        r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
    };
}

/// Where backups and WAL are kept: the kinds of repository that pgBackRest knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repos(Vec<RepoKind>);

impl Repos {
    /// The repositories in their order: repo1, repo2…
    pub fn kinds(&self) -> &[RepoKind] {
        &self.0
    }

    /// Whether there is one of this kind.
    pub fn has(&self, kind: RepoKind) -> bool {
        self.0.contains(&kind)
    }

    fn of(kinds: Vec<RepoKind>) -> Result<Self, String> {
        let once = |kind: &RepoKind| kinds.iter().filter(|other| *other == kind).count() == 1;
        check(
            (1..=4).contains(&kinds.len()) && kinds.iter().all(once),
            "there are 1 to 4 repositories, each of a different kind",
        )?;
        Ok(Self(kinds))
    }
}

impl FromStr for Repos {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::of(text.split(',').map(|kind| kind.trim().parse()).collect::<Result<_, _>>()?)
    }
}

impl<'de> Deserialize<'de> for Repos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Repos;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of repositories, such as [posix, s3]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Repos, E> {
                text.parse().map_err(|why| E::custom(format!("{}: {why}", shown(text))))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Repos, A::Error> {
                let mut kinds = Vec::new();
                while let Some(kind) = list.next_element()? {
                    kinds.push(kind);
                }
                Repos::of(kinds).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

one_setting!(Repos);

impl JsonSchema for Repos {
    fn schema_name() -> Cow<'static, str> {
        "Repos".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kind = RepoKind::json_schema(generator);
        json_schema!({"anyOf": [
            {"type": "array", "items": kind, "minItems": 1, "maxItems": 4, "uniqueItems": true},
            kind,
        ]})
    }
}

choice!(
    /// A kind of repository.
    RepoKind,
    "a repository is `posix`, `s3`, `gcs`, `azure` or `sftp`",
    /// A volume in the cluster, behind pgBackRest's own server.
    Posix = "posix",
    /// An S3 bucket.
    S3 = "s3",
    /// A bucket of Google Cloud Storage.
    Gcs = "gcs",
    /// A container of Azure Blob Storage.
    Azure = "azure",
    /// A folder on a host that speaks SFTP.
    Sftp = "sftp"
);
choice!(
    /// Where the bucket's name stands in a URL.
    UriStyle,
    "the URI style is `host` or `path`",
    /// In front of the endpoint's name.
    Host = "host",
    /// Behind it.
    Path = "path"
);
choice!(
    /// What a request to S3 is signed with.
    S3Key,
    "the key type of S3 is `shared`, `auto` or `web-id`",
    /// A key from the Secret.
    Shared = "shared",
    /// The key of the machine's role.
    Auto = "auto",
    /// The pod's identity.
    WebId = "web-id"
);
choice!(
    /// What proves to Google who asks.
    GcsKey,
    "the key type of GCS is `service` or `auto`",
    /// The key file of a service account, from the Secret.
    Service = "service",
    /// The identity of the machine, or of the pod.
    Auto = "auto"
);
choice!(
    /// What a request to Azure is signed with.
    AzureKey,
    "the key type of Azure is `shared` or `sas` (the image's pgBackRest knows no managed identity)",
    /// The account's key from the Secret.
    Shared = "shared",
    /// A shared access signature from the Secret.
    Sas = "sas"
);

checked_text!(
    /// The path inside every repository.
    RepoPath,
    200,
    // No part is `.` or `..`.
    r"(/([A-Za-z0-9_-]|\.[A-Za-z0-9_-]|\.\.[A-Za-z0-9._-])[A-Za-z0-9._-]*)+",
    "a path in a repository starts with `/` and is made of letters, digits, `.`, `_` and `-`, such as `/pgk/pg`"
);
checked_text!(
    /// A bucket of S3 or of Google Cloud Storage.
    Bucket,
    222,
    "[a-z0-9][a-z0-9._-]+[a-z0-9]",
    "a bucket's name has 3 or more lowercase letters, digits, `.`, `_` and `-`"
);
checked_text!(
    /// Where a service answers: a host, and the port if it is not the usual one.
    Endpoint,
    253,
    concat!(
        host!(),
        "(:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
    ),
    "an endpoint is a host, and a port if need be, without a scheme, such as `s3.eu-west-3.amazonaws.com` or `minio.example:9000`"
);
checked_text!(
    /// A host.
    HostName,
    253,
    host!(),
    "a host is a name such as `backup.example`, or an IPv4 address"
);
checked_text!(
    /// A region of S3.
    Region,
    64,
    "[A-Za-z0-9-]+",
    "a region is made of letters, digits and `-`, such as `us-east-1`"
);
checked_text!(
    /// A storage account of Azure.
    Account,
    24,
    "[a-z0-9]{3,}",
    "a storage account's name has 3 to 24 lowercase letters and digits"
);
checked_text!(
    /// A container of a storage account.
    Container,
    63,
    "[a-z0-9][a-z0-9-]+[a-z0-9]",
    "a container's name has 3 to 63 lowercase letters, digits and `-`"
);
checked_text!(
    /// Who logs in by SFTP.
    SftpUser,
    32,
    "[A-Za-z_][A-Za-z0-9._-]*",
    "a user's name has at most 32 letters, digits, `.`, `_` and `-`, and starts with a letter"
);
checked_text!(
    /// The SHA-256 of an SSH host key.
    Fingerprint,
    64,
    "[0-9a-f]{64}",
    "a fingerprint is the host key's SHA-256 in 64 hexadecimal digits: ssh-keyscan -t ed25519 HOST | awk '{print $3}' | base64 -d | sha256sum"
);
checked_text!(
    /// The lines of an SSH `known_hosts` file.
    KnownHosts,
    65_536,
    // One of them has three words.
    r"([ -~]*\n)* *[!-~]+ +[!-~]+ +[!-~][ -~]*(\n[\n -~]*)?",
    "known hosts are lines as `ssh-keyscan HOST` prints them"
);
checked_text!(
    /// Certificates of authorities, in PEM.
    Certificates,
    65_536,
    // Around them, comments and empty lines.
    r"((#[ -~]*| *)\n)*(-----BEGIN CERTIFICATE----- *\n([A-Za-z0-9+/=]* *\n)*-----END CERTIFICATE----- *(\n((#[ -~]*| *)\n)*|$))+(#[ -~]*| *)",
    "an authority is a certificate in PEM, from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`"
);
checked_text!(
    /// A point in time, with its zone: the form that both PostgreSQL and pgBackRest take.
    Moment,
    40,
    r"[2-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?[+-](0[0-9]|1[0-5])(:[0-5][0-9])?",
    MOMENT_RULE,
    {},
    |text| {
        let day = |text: &str| Date::parse(text, format_description!(version = 2, "[year]-[month]-[day]"));
        check(text.get(..10).is_some_and(|text| day(text).is_ok()), MOMENT_RULE)
    }
);
checked_text!(
    /// A position in the WAL.
    Lsn,
    17,
    "[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}",
    "a WAL position looks like `0/16B3740`"
);
checked_text!(
    /// The name of a restore point, as `pg_create_restore_point` was given it.
    RestorePoint,
    63,
    r"[^\x00-\x1f\x7f-\x9f]+",
    RESTORE_POINT_RULE,
    {"not": {"pattern": r"^\s|\s$"}},
    |text| check(text.trim() == text, RESTORE_POINT_RULE)
);
checked_text!(
    /// The label of a backup set.
    BackupSet,
    33,
    "[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?",
    "a backup set is a label that `pgbackrest info` shows, such as `20261124-100000F`"
);

const MOMENT_RULE: &str = "a point in time is a day of the calendar, a time and a zone, such as `2026-11-24 10:00:00+01` (with a space and a number: no `T`, and `+00` for `Z` or UTC)";
const RESTORE_POINT_RULE: &str =
    "a restore point's name has 1 to 63 bytes, no control characters, and no space around it";

/// A TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port(u16);

impl Port {
    /// That of HTTPS.
    pub const HTTPS: Self = Self(443);

    /// The port of this number.
    pub const fn of(number: u16) -> Self {
        Self(number)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Port {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(port @ 1..) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(port)),
            _ => Err("a port is a whole number from 1 to 65535".to_owned()),
        }
    }
}

from_scalar!(Port, || json!({"type": "integer", "minimum": 1, "maximum": 65535}));

impl Endpoint {
    /// The host, and the port where one is given.
    pub fn parts(&self) -> (&str, Port) {
        let (host, port) = self.as_str().split_once(':').unwrap_or((self.as_str(), ""));
        (host, port.parse().unwrap_or(Port::HTTPS))
    }
}

/// After how long a WAL file is archived even if it is not full, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ArchiveTimeout(u32);

impl FromStr for ArchiveTimeout {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match seconds(text, &[('s', 1), ('m', 60), ('h', 3600)]) {
            Some(seconds @ 1..=3600) => Ok(Self(seconds)),
            _ => Err(TIMEOUT_RULE.to_owned()),
        }
    }
}

const TIMEOUT_RULE: &str =
    "the archive's timeout is a whole number with `s`, `m` or `h`, such as `60s`, from 1s to 1h";

from_scalar!(ArchiveTimeout, || json!({
    "type": "string",
    "pattern": "^0*(([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9]|60)m|1h)$",
    "patternErrorMessage": TIMEOUT_RULE,
    "x-unit": "seconds (s), minutes (m) or hours (h)",
}));

/// When something is done, in the five fields of cron; or never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schedule(Option<String>);

const SCHEDULE_RULE: &str = "a schedule is `none`, a word such as `@daily`, or the five fields of cron (minute, hour, day of the month, month, day of the week from 0 to 6), such as `0 1 * * 0`";
const LONGEST_SCHEDULE: usize = 100;
const NAMED: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl FromStr for Schedule {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        if NAMED.contains(&text) {
            return Ok(Self(Some(text.to_owned())));
        }
        let fits = match text.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>()[..] {
            [minute, hour, day, month, weekday] => {
                cron(minute, 0, 59, &[])
                    && cron(hour, 0, 23, &[])
                    && cron(day, 1, 31, &[])
                    && cron(month, 1, 12, MONTHS)
                    && cron(weekday, 0, 6, DAYS)
            }
            _ => false,
        };
        check(fits && text.len() <= LONGEST_SCHEDULE, SCHEDULE_RULE)?;
        Ok(Self(Some(text.to_owned())))
    }
}

impl Schedule {
    /// The days within which it comes again, or more: only which fields are restricted is looked at. `None` if it
    /// never comes.
    pub fn comes_within(&self) -> Option<u16> {
        let text = self.0.as_deref()?;
        let any = |field: &str| matches!(field, "*" | "?");
        Some(match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["@hourly" | "@daily" | "@midnight"] => 1,
            ["@weekly"] => 7,
            ["@monthly"] => 31,
            [_, _, day, month, weekday] => match (any(day), any(month), any(weekday)) {
                (true, true, true) => 1,
                (true, true, false) => 7,
                // From the 31st of a month to that of the next one that has it.
                (false, true, true) => 62,
                _ => 366,
            },
            _ => 366,
        })
    }
}

/// All but that a range goes upwards, which JSON Schema cannot say.
fn schedule_schema() -> Json {
    let field = |number: &str, names: &[&str]| {
        let names = names.iter().map(|name| any_case(&name.to_ascii_lowercase()));
        let value = names.fold(format!("0*{number}"), |all, name| format!("{all}|{name}"));
        let part =
            format!(r"([*?]|({value})(-({value}))?)(/0*([1-9][0-9]?|1[0-9]{{2}}|2[0-4][0-9]|25[0-5]))?");
        format!("{part}(,{part})*")
    };
    let fields = [
        field("[1-5]?[0-9]", &[]),
        field("(1?[0-9]|2[0-3])", &[]),
        field("([1-9]|[12][0-9]|3[01])", &[]),
        field("([1-9]|1[0-2])", MONTHS),
        field("[0-6]", DAYS),
    ];
    json!({
        "type": "string",
        "maxLength": LONGEST_SCHEDULE,
        "pattern": format!("^(none|{}| *{} *)$", NAMED.join("|"), fields.join(" +")),
        "patternErrorMessage": SCHEDULE_RULE,
    })
}

/// Whether a field of cron is one that Kubernetes takes.
fn cron(field: &str, lowest: u8, highest: u8, names: &[&str]) -> bool {
    let value = |text: &str| {
        let by_name = names.iter().zip(lowest..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let number = || text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
        by_name.map(|(_, number)| number).or_else(number).filter(|number| (lowest..=highest).contains(number))
    };
    field.split(',').all(|part| {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let range = matches!(range, "*" | "?")
            || match range.split_once('-') {
                Some((first, last)) => {
                    value(first).zip(value(last)).is_some_and(|(first, last)| first <= last)
                }
                None => value(range).is_some(),
            };
        let digits = !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
        range && digits && step.parse::<u8>().is_ok_and(|step| step > 0)
    })
}

from_scalar!(Schedule, schedule_schema);

/// Up to where a cluster that has lost everything is restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// To the end of the archive.
    End,
    /// To a moment.
    Time(Moment),
    /// To a position in the WAL.
    Lsn(Lsn),
    /// To a restore point.
    Name(RestorePoint),
    /// To the end of a backup.
    Set(BackupSet),
}

impl Target {
    /// Whether there is more than one way to it.
    pub fn takes_a_timeline(&self) -> bool {
        !matches!(self, Self::End | Self::Set(_))
    }

    /// What kind of target it is, and which one; `None` for the end of the archive.
    pub fn parts(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::End => None,
            Self::Time(time) => Some(("time", time.as_str())),
            Self::Lsn(lsn) => Some(("lsn", lsn.as_str())),
            Self::Name(name) => Some(("name", name.as_str())),
            Self::Set(set) => Some(("set", set.as_str())),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const RULE: &str = "the target is `none`, or one of time, lsn, name and set";

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            time: Option<Moment>,
            lsn: Option<Lsn>,
            name: Option<RestorePoint>,
            set: Option<BackupSet>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(RULE)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Target, E> {
                match text {
                    "none" => Ok(Target::End),
                    _ => Err(E::custom(format!("{}: {RULE}", shown(text)))),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                let map = Map::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match map {
                    Map { time: Some(time), lsn: None, name: None, set: None } => Ok(Target::Time(time)),
                    Map { time: None, lsn: Some(lsn), name: None, set: None } => Ok(Target::Lsn(lsn)),
                    Map { time: None, lsn: None, name: Some(name), set: None } => Ok(Target::Name(name)),
                    Map { time: None, lsn: None, name: None, set: Some(set) } => Ok(Target::Set(set)),
                    _ => Err(de::Error::custom(RULE)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

one_setting!(Target);

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        /// A schema, with what it means.
        fn of<T: JsonSchema>(generator: &mut SchemaGenerator, meaning: &str, example: &str) -> Schema {
            let mut schema = T::json_schema(generator);
            schema.insert("description".to_owned(), meaning.into());
            schema.insert("examples".to_owned(), json!([example]));
            schema
        }
        json_schema!({"anyOf": [
            {"const": "none"},
            {
                "type": "object",
                "properties": {
                    "time": of::<Moment>(generator, "To a moment.", "2026-11-24 10:00:00+01"),
                    "lsn": of::<Lsn>(generator, "To a position in the WAL.", "0/16B3740"),
                    "name": of::<RestorePoint>(
                        generator,
                        "To a restore point, by the name that `pg_create_restore_point` was given.",
                        "before-the-sale"
                    ),
                    "set": of::<BackupSet>(generator, "To the end of a backup, by its label.", "20261124-100000F"),
                },
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]})
    }
}

checked_text!(
    /// The timeline along which a target is looked for.
    TargetTimeline,
    10,
    "latest|current|0*[1-9][0-9]*",
    TIMELINE_RULE,
    {"type": ["string", "integer"], "minimum": 1, "maximum": u32::MAX},
    |text| {
        let fits = matches!(text, "latest" | "current") || text.parse::<u32>().is_ok();
        check(fits, TIMELINE_RULE)
    }
);

const TIMELINE_RULE: &str = "the timeline is `latest`, `current` or a number";

#[cfg(test)]
mod tests {
    use super::super::tests::{fits, fits_but_for_the_schema};
    use super::*;

    #[test]
    fn each_type_checks_itself() {
        fits::<Repos>(&["posix", "sftp"], &["", "posix,posix", "nfs", "posix,", "posix,s3,gcs,azure,sftp"]);
        // For the command line; the schema wants a list of several.
        for list in ["s3,posix", "posix, s3, gcs, azure"] {
            assert!(list.parse::<Repos>().is_ok(), "{list} is good");
        }
        fits::<RepoPath>(
            &["/a", "/pgk/pg", "/a.b/-c_"],
            &["", "/", "a", "/a/", "/a//b", "/../a", "/a b", "/é"],
        );
        fits::<Bucket>(&["abc", "my.bucket-1"], &["", "ab", "Abc", "-abc", "abc-", "a/b"]);
        fits::<Endpoint>(
            &["s3.us-east-1.amazonaws.com", "10.0.0.1:9000", "minio"],
            &["", "https://s3", "s3:", "s3:0", "s3:99999", "s3:1:2", "a b", "[::1]:9000", "s3:+1"],
        );
        fits::<Fingerprint>(&[&"0a".repeat(32)], &["", "SHA256:x", &"0A".repeat(32), &"0".repeat(63)]);
        fits::<KnownHosts>(&["host ssh-ed25519 AAAA\n"], &["", "host", "host a b\r\n", "host a \u{0}"]);
        fits::<Certificates>(
            &["-----BEGIN CERTIFICATE-----\nAA+/==\n-----END CERTIFICATE-----\n"],
            &[
                "",
                "x",
                "-----BEGIN CERTIFICATE-----\nAA",
                "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----",
            ],
        );
        fits_but_for_the_schema::<Moment>(
            &[
                "2026-11-24 10:00:00+01",
                "2026-11-24 10:00:00.123456-03:30",
                "2026-11-24 10:00:00.1+00",
                "2028-02-29 00:00:00-15",
            ],
            &[
                "",
                "2026-11-24 10:00:00",
                "2026-11-24",
                "2026-13-24 10:00:00+01",
                "2026-11-24 25:00:00+01",
                "1999-11-24 10:00:00+01",
                "+2026-11-24 10:00:00+01",
                "2026-11-24 10:00:00.1234567+01",
                "2026-11-24 10:00:00+16",
                "2026-12-31 23:59:60+00",
                "2026-11-24 10:00:00+01:60",
                "2026-11-24 10:00:00 +01",
                "2026-11-24T10:00:00Z",
                "2026-11-24 10:00:00 CET",
                "2026-11-24 10:00:00+1",
                "2026-11-24 10:00+01",
                "now+01",
                "2026-11-24 10:00:00.+01",
            ],
            &["2026-02-29 10:00:00+01", "2026-11-31 10:00:00+01"],
        );
        fits::<Lsn>(&["0/16B3740", "A/0"], &["", "0", "0/", "/0", "0/123456789", "g/0"]);
        fits::<BackupSet>(
            &["20261124-100000F", "20261124-100000F_20261125-100000D"],
            &["", "latest", "20261124-100000", "20261124-100000F_", "20261124-100000D"],
        );
        fits::<ArchiveTimeout>(&["1s", "60s", "5m", "1h"], &["", "0s", "60", "2h", "-1s", "1.5m", "3601s"]);
        fits_but_for_the_schema::<Schedule>(
            &["none", "0 1 * * 0", "*/15 0-6,22 1 JAN-mar mon", "@daily", "5/10 * ? * *"],
            &[
                "",
                "  ",
                "0 1 * *",
                "0 1 * * 7",
                "60 1 * * *",
                "0 1 * * * *",
                "@never",
                "a * * * *",
                "*/0 * * * *",
                "0 1 * * MON-",
                "0\n1 * * *",
                "*/256 * * * *",
            ],
            &["6-1 * * * *"],
        );
        for (schedule, days) in [
            ("none", None),
            ("@hourly", Some(1)),
            ("@weekly", Some(7)),
            ("@monthly", Some(31)),
            ("@yearly", Some(366)),
            ("0 1 * * *", Some(1)),
            ("*/5 */2  * ? *", Some(1)),
            ("0 1 * * 1-6", Some(7)),
            ("0 1 31 * *", Some(62)),
            ("0 1 1 * 0", Some(366)),
            ("0 1 * JAN *", Some(366)),
        ] {
            assert_eq!(schedule.parse::<Schedule>().unwrap().comes_within(), days, "{schedule}");
        }
        fits::<TargetTimeline>(&["latest", "current", "3"], &["", "0", "0x3", "newest"]);
        fits::<Port>(&["1", "65535"], &["", "0", "65536", "+1", "x"]);
    }
}
