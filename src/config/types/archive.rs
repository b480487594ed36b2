//! The values that an archive's configuration is made of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{check, seconds, shown};

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
            "there are 1 to 4 repositories, each of another kind",
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
    |text| {
        let part = |part: &str| {
            !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let fits = text.len() <= 200 && text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
        check(fits, "a path in a repository starts with `/` and is made of letters, digits, `.`, `_` and `-`, such as `/pgk/pg`")
    }
);
checked_text!(
    /// A bucket of S3 or of Google Cloud Storage.
    Bucket,
    |text| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (3..=222).contains(&text.len())
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        check(fits, "a bucket's name has 3 or more lowercase letters, digits, `.`, `_` and `-`")
    }
);
checked_text!(
    /// Where a service answers: a host, and the port if it is not the usual one.
    Endpoint,
    |text| {
        let (host, port) = text.split_once(':').unwrap_or((text, "443"));
        let fits = is_host(host) && port.parse::<Port>().is_ok();
        check(fits, "an endpoint is a host, and a port if need be, without a scheme, such as `s3.eu-west-3.amazonaws.com` or `minio.example:9000`")
    }
);
checked_text!(
    /// A host.
    HostName,
    |text| check(is_host(text), "a host is a name such as `backup.example`, or an IPv4 address")
);
checked_text!(
    /// A region of S3.
    Region,
    |text| {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        check(fits, "a region is made of letters, digits and `-`, such as `us-east-1`")
    }
);
checked_text!(
    /// A storage account of Azure.
    Account,
    |text| {
        let fits = (3..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        check(fits, "a storage account's name has 3 to 24 lowercase letters and digits")
    }
);
checked_text!(
    /// A container of a storage account.
    Container,
    |text| {
        let fits = (3..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        check(fits, "a container's name has 3 to 63 lowercase letters, digits and `-`")
    }
);
checked_text!(
    /// Who logs in by SFTP.
    SftpUser,
    |text| {
        let fits = text.len() <= 32
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        check(fits, "a user's name has at most 32 letters, digits, `.`, `_` and `-`, and starts with a letter")
    }
);
checked_text!(
    /// The SHA-256 of an SSH host key.
    Fingerprint,
    |text| {
        let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        check(fits, "a fingerprint is the host key's SHA-256 in 64 hexadecimal digits: ssh-keyscan -t ed25519 HOST | awk '{print $3}' | base64 -d | sha256sum")
    }
);
checked_text!(
    /// The lines of an SSH `known_hosts` file.
    KnownHosts,
    |text| {
        let fits = plain_lines(text) && text.lines().any(|line| line.split_whitespace().count() >= 3);
        check(fits, "known hosts are lines as `ssh-keyscan HOST` prints them")
    }
);
checked_text!(
    /// Certificates of authorities, in PEM.
    Certificates,
    |text| check(
        plain_lines(text) && is_pem(text),
        "an authority is a certificate in PEM, from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`"
    )
);
checked_text!(
    /// A point in time, with its zone.
    Moment,
    |text| check(is_moment(text), "a point in time is a day of the calendar, a time and a zone, such as `2026-11-24 10:00:00+01`")
);
checked_text!(
    /// A position in the WAL.
    Lsn,
    |text| {
        let half = |text: &str| (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let fits = text.split_once('/').is_some_and(|(high, low)| half(high) && half(low));
        check(fits, "a WAL position looks like `0/16B3740`")
    }
);
checked_text!(
    /// The name of a restore point, as `pg_create_restore_point` was given it.
    RestorePoint,
    |text| {
        let fits = (1..=63).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control);
        check(fits, "a restore point's name has 1 to 63 bytes, no control characters, and no space around it")
    }
);
checked_text!(
    /// The label of a backup set.
    BackupSet,
    |text| {
        let stamp = |text: &str| {
            text.split_once('-').is_some_and(|(date, time)| is_number(date, 8) && is_number(time, 6))
        };
        let fits = match text.split_once('F') {
            Some((full, "")) => stamp(full),
            Some((full, rest)) => {
                let rest = rest.strip_prefix('_').and_then(|rest| rest.strip_suffix(['D', 'I']));
                stamp(full) && rest.is_some_and(stamp)
            }
            None => false,
        };
        check(fits, "a backup set is a label that `pgbackrest info` shows, such as `20261124-100000F`")
    }
);

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A file's text of not too many plain lines.
fn plain_lines(text: &str) -> bool {
    text.len() <= 1 << 16 && text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic())
}

fn is_pem(text: &str) -> bool {
    let (mut inside, mut certificates) = (false, 0);
    for line in text.lines().map(str::trim_end) {
        match (inside, line) {
            (false, "-----BEGIN CERTIFICATE-----") => inside = true,
            (true, "-----END CERTIFICATE-----") => {
                inside = false;
                certificates += 1;
            }
            (false, line) if line.is_empty() || line.starts_with('#') => {}
            (true, line) if line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) => {}
            _ => return false,
        }
    }
    !inside && certificates > 0
}

/// `YYYY-MM-DD HH:MM:SS`, a fraction if need be, and a zone: the form that both PostgreSQL and pgBackRest take.
fn is_moment(text: &str) -> bool {
    const FORM: &[BorrowedFormatItem<'_>] = format_description!(
        version = 2,
        "[year]-[month]-[day] [hour]:[minute]:[second][optional [.[subsecond]]][offset_hour sign:mandatory][optional [:[offset_minute]]]"
    );
    const HOURS_OF_ZONES: i8 = 15;
    // Not more than microseconds, and a year from 2000 on, without a sign.
    let fraction = text.split_once('.').and_then(|(_, rest)| rest.find(['+', '-'])).unwrap_or_default();
    text.starts_with(|digit: char| ('2'..='9').contains(&digit))
        && fraction <= 6
        && OffsetDateTime::parse(text, FORM)
            .is_ok_and(|moment| moment.offset().whole_hours().abs() <= HOURS_OF_ZONES)
}

/// A TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Port(u16);

impl Port {
    /// That of SSH.
    pub const SSH: Self = Self(22);
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

from_scalar!(Port);

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
            _ => Err(
                "the archive's timeout is a whole number with `s`, `m` or `h`, such as `60s`, from 1s to 1h"
                    .to_owned(),
            ),
        }
    }
}

from_scalar!(ArchiveTimeout);

/// When something is done, in the five fields of cron; or never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schedule(Option<String>);

impl FromStr for Schedule {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const RULE: &str = "a schedule is `none`, a word such as `@daily`, or the five fields of cron (minute, hour, day of the month, month, day of the week from 0 to 6), such as `0 1 * * 0`";
        const NAMED: [&str; 7] =
            ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
        const MONTHS: &[&str] =
            &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
        const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
        if text.trim().is_empty() || text == "none" {
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
        check(fits && text.len() <= 100, RULE)?;
        Ok(Self(Some(text.to_owned())))
    }
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

from_scalar!(Schedule);

/// Up to where a cluster that has lost everything is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
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

checked_text!(
    /// The timeline along which a target is looked for.
    TargetTimeline,
    |text| {
        let number = text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok_and(|number| number > 0);
        check(matches!(text, "latest" | "current") || number, "the timeline is `latest`, `current` or a number")
    }
);

#[cfg(test)]
mod tests {
    use super::super::tests::fits;
    use super::*;

    #[test]
    fn each_type_checks_itself() {
        fits::<Repos>(
            &["posix", "s3,posix", "posix, s3, gcs, azure"],
            &["", "posix,posix", "nfs", "posix,", "posix,s3,gcs,azure,sftp"],
        );
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
        fits::<Moment>(
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
                "2026-02-29 10:00:00+01",
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
        );
        fits::<Lsn>(&["0/16B3740", "A/0"], &["", "0", "0/", "/0", "0/123456789", "g/0"]);
        fits::<BackupSet>(
            &["20261124-100000F", "20261124-100000F_20261125-100000D"],
            &["", "latest", "20261124-100000", "20261124-100000F_", "20261124-100000D"],
        );
        fits::<ArchiveTimeout>(&["1s", "60s", "5m", "1h"], &["", "0s", "60", "2h", "-1s", "1.5m", "3601s"]);
        fits::<Schedule>(
            &["none", "", "0 1 * * 0", "*/15 0-6,22 1 JAN-mar mon", "@daily", "5/10 * ? * *"],
            &[
                "0 1 * *",
                "0 1 * * 7",
                "60 1 * * *",
                "0 1 * * * *",
                "@never",
                "a * * * *",
                "*/0 * * * *",
                "6-1 * * * *",
                "0 1 * * MON-",
                "0\n1 * * *",
            ],
        );
        fits::<TargetTimeline>(&["latest", "current", "3"], &["", "0", "0x3", "newest"]);
        fits::<Port>(&["1", "65535"], &["", "0", "65536", "+1", "x"]);
    }
}
