//! The formats that Kubernetes requires of strings.

use std::net::IpAddr;

/// An RFC 1123 label: the name of a container or of a volume.
pub(in crate::manifest) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_dashed(text)
}

/// An RFC 1035 label: a Service's name, which is also that of environment variables.
pub(in crate::manifest) fn is_old_label(text: &str) -> bool {
    is_label(text) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// An RFC 1123 subdomain: the name of most objects.
pub(in crate::manifest) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dashed)
}

fn is_dashed(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.chars().all(|c| alphanumeric(c) || c == '-')
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// What can stand between two `/` of a URL: the name of a role, which may be `system:node`.
pub(in crate::manifest) fn is_path_segment(text: &str) -> bool {
    !matches!(text, "." | "..") && !text.contains(['/', '%'])
}

/// A label's value.
pub(in crate::manifest) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// The last part of a label's key.
fn is_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'))
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// A label's key: `name` or `example.com/name`.
pub(in crate::manifest) fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').unwrap_or(("none", text));
    is_subdomain(prefix) && is_name(name)
}

/// An annotation's key: the same, of which the case does not matter.
pub(in crate::manifest) fn is_annotation(text: &str) -> bool {
    is_qualified_name(&text.to_lowercase())
}

/// The name of a container's port.
pub(super) fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_dashed(text)
        && !text.contains("--")
        && text.contains(|c: char| c.is_ascii_lowercase())
}

/// The name of an environment variable.
pub(super) fn is_variable(text: &str) -> bool {
    text.chars().all(|c| (' '..='~').contains(&c) && c != '=')
}

/// A key of a `ConfigMap` or Secret: the name of a file.
pub(super) fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && !text.starts_with("..")
        && text != "."
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A path that stays below where it begins.
pub(super) fn is_below(text: &str) -> bool {
    !text.starts_with('/') && text.split('/').all(|part| part != "..")
}

/// What a container may ask for: CPU time, memory, or what somebody else's plugin knows.
pub(super) fn is_resource(text: &str) -> bool {
    matches!(text, "cpu" | "memory" | "ephemeral-storage")
        || text.strip_prefix("hugepages-").is_some_and(|size| amount(size).is_some())
        || (text.contains('/') && is_qualified_name(text))
}

/// A field of the pod that a variable may hold.
pub(super) fn is_field_of_pod(text: &str) -> bool {
    let of_metadata = |key: &str| {
        let rest = text.strip_prefix("metadata.").and_then(|rest| rest.strip_prefix(key));
        rest.and_then(|rest| rest.strip_prefix("['")?.strip_suffix("']")).is_some_and(is_annotation)
    };
    let known = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    known.contains(&text) || of_metadata("labels") || of_metadata("annotations")
}

/// A field of the pod that a file may hold.
pub(super) fn is_file_of_pod(text: &str) -> bool {
    matches!(text, "metadata.labels" | "metadata.annotations")
        || (text.starts_with("metadata.") && is_field_of_pod(text))
}

/// What a container may ask for or is limited to, as a variable or a file holds it.
pub(super) fn is_amount_of_pod(text: &str) -> bool {
    let of = text.strip_prefix("limits.").or_else(|| text.strip_prefix("requests."));
    of.is_some_and(|of| !of.contains('/') && is_resource(of))
}

pub(super) fn is_header(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

pub(super) fn is_api_version(text: &str) -> bool {
    let (group, version) = text.split_once('/').unwrap_or(("none", text));
    is_subdomain(group) && is_label(version) && !version.starts_with(|c: char| c.is_ascii_digit())
}

/// What the database of time zones may have: which of them it has, is known where it is.
pub(super) fn is_time_zone(text: &str) -> bool {
    let is_part = |part: &str| {
        part.len() > 1
            && part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
    };
    text != "Local" && text.split('/').all(is_part)
}

pub(super) fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

pub(super) fn is_cluster_ip(text: &str) -> bool {
    text == "None" || is_address(text)
}

/// Addresses, such as `10.0.0.0/8`.
pub(super) fn is_network(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| {
        let most = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse().is_ok_and(|bits: u8| bits <= most)
    })
}

/// A number above 0 in hundredths, such as `25%`.
pub(super) fn is_percentage(text: &str) -> bool {
    text.strip_suffix('%').is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && number.parse::<i32>().is_ok()
    })
}

/// The same, up to `100%`.
pub(super) fn is_part(text: &str) -> bool {
    is_percentage(text) && text.trim_end_matches('%').parse::<u32>().is_ok_and(|number| number <= 100)
}

/// When a `CronJob` runs.
pub(super) fn is_schedule(text: &str) -> bool {
    const MONTHS: &[&str] =
        &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    if let Some(name) = text.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        return known.contains(&name) || name.strip_prefix("every ").is_some_and(is_duration);
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    let &[minute, hour, day, month, weekday] = fields.as_slice() else { return false };
    is_field(minute, 0, 59, &[])
        && is_field(hour, 0, 23, &[])
        && is_field(day, 1, 31, &[])
        && is_field(month, 1, 12, MONTHS)
        && is_field(weekday, 0, 6, DAYS)
}

/// One of a schedule's five fields: `*`, `5`, `mon-fri`, `*/10`, and several of these with commas in between.
fn is_field(field: &str, first: u32, last: u32, names: &[&str]) -> bool {
    let number = |text: &str| {
        let lower = text.to_lowercase();
        match (names.iter().position(|name| *name == lower), text.bytes().all(|b| b.is_ascii_digit())) {
            (Some(index), _) => u32::try_from(index).ok().map(|index| first + index),
            (None, true) => text.parse().ok(),
            (None, false) => None,
        }
        .filter(|number| (first..=last).contains(number))
    };
    field.split(',').all(|part| {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.is_none_or(|step| {
            step.bytes().all(|b| b.is_ascii_digit()) && step.parse::<u32>().is_ok_and(|step| step > 0)
        });
        let range = match range.split_once('-') {
            Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
            None => matches!(range, "*" | "?") || number(range).is_some(),
        };
        step && range
    })
}

/// `1h30m`, as Go writes it.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let digits = rest.get(..rest.len() - number.len()).unwrap_or_default();
        let unit = ["ns", "us", "ms", "s", "m", "h"].iter().find_map(|unit| number.strip_prefix(unit));
        match unit {
            Some(after) if digits.parse::<f64>().is_ok() => rest = after,
            _ => return false,
        }
    }
    !text.is_empty()
}

/// How much a quantity is, in thousand millionths: `500m`, `1.5Gi`, `1e3`; `None` if it is none.
pub(super) fn amount(text: &str) -> Option<i128> {
    const NANO: i32 = 9;
    let number_end = text
        .char_indices()
        .find(|(index, c)| !(c.is_ascii_digit() || *c == '.' || (*index == 0 && matches!(c, '+' | '-'))))
        .map_or(text.len(), |(index, _)| index);
    let (number, suffix) = text.split_at(number_end);
    let (ten, two) = match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        exponent => (exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if !digits.ends_with(|c: char| c.is_ascii_digit()) || fraction.contains('.') {
        return None;
    }
    let mantissa = digits.parse::<i128>().ok()?;
    let ten = ten + NANO - i32::try_from(fraction.len()).ok()?;
    // Saturate: values above the maximum are all equal.
    let power = |exponent: i32| 10_i128.checked_pow(exponent.unsigned_abs());
    let scaled = mantissa.checked_mul(1_i128 << two);
    Some(match (scaled, power(ten)) {
        (Some(0), _) => 0,
        (Some(scaled), Some(power)) if ten < 0 => scaled / power,
        (Some(_), None) if ten < 0 => 0,
        (Some(scaled), Some(power)) => scaled.checked_mul(power).unwrap_or(i128::MAX * scaled.signum()),
        (_, _) => i128::MAX * mantissa.signum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fits(form: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(form(text), "{text:?} is refused");
        }
        for text in bad {
            assert!(!form(text), "{text:?} is taken");
        }
    }

    #[test]
    fn forms() {
        let long = "x".repeat(64);
        fits(is_label, &["a", "0-a"], &["", "a.b", "A", "-a", "a-", &long]);
        fits(is_old_label, &["a1"], &["1a"]);
        fits(is_subdomain, &["a.b", &long], &["", ".a", "a..b", "a_b", &"x".repeat(254)]);
        fits(is_path_segment, &["system:node", "A b"], &["..", "a/b", "a%b"]);
        fits(is_qualified_name, &["a", "A_b", "a.b/C"], &["", "a/b/c", "A.b/c", "/a", "a/"]);
        fits(is_annotation, &["A.b/c"], &["a/b/c"]);
        fits(is_port_name, &["http", "a-1"], &["", "80", "a--b", "-a", "HTTP", "sixteen-letters-"]);
        fits(is_variable, &["A", "1 a.b-c"], &["a=b", "é", "a\n"]);
        fits(is_file_name, &["a", ".a", "A_b-c.d"], &["", ".", "..", "..a", "a/b", "a b"]);
        fits(is_below, &["a/b", "..a"], &["/a", "a/../b", ".."]);
        fits(is_resource, &["cpu", "hugepages-2Mi", "a.b/c"], &["gpu", "hugepages-", "storage", "a.b/"]);
        fits(
            is_field_of_pod,
            &["metadata.name", "status.podIP", "metadata.labels['a.b/c']"],
            &["metadata", "metadata.labels", "metadata.labels['']", "spec.nodeNames"],
        );
        fits(
            is_network,
            &["10.0.0.0/8", "::/0"],
            &["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "a/8", "1.2.3.4/+8"],
        );
        fits(is_file_of_pod, &["metadata.labels", "metadata.uid"], &["status.podIP", "a"]);
        fits(is_amount_of_pod, &["limits.cpu", "requests.hugepages-2Mi"], &["limits", "cpu", "limits.a.b/c"]);
        fits(is_header, &["X-Real-IP"], &["a_b", "a b"]);
        fits(is_api_version, &["v1", "apps/v1", "a.b/v1beta1"], &["A", "a_b", "1", "apps/", "a/b/c"]);
        fits(is_time_zone, &["UTC", "Etc/GMT+1", "America/New_York"], &["A", "Local", "utc", "a/b", "Etc/"]);
        fits(is_percentage, &["0%", "250%"], &["", "%", "-1%", "5", "1.5%"]);
        fits(is_part, &["100%"], &["101%"]);
    }

    #[test]
    fn schedules() {
        fits(
            is_schedule,
            &[
                "* * * * *",
                "0 1 * * 1-6",
                "*/5,7 0-23/2 ? JAN-dec sun",
                "@daily",
                "@every 1h30m",
                "5/10 0 1 1 0",
            ],
            &[
                "",
                "* * * *",
                "* * * * * *",
                "99 * * * *",
                "60 * * * *",
                "* 24 * * *",
                "* * 0 * *",
                "* * 32 * *",
                "* * * 13 *",
                "* * * * 7",
                "*/0 * * * *",
                "5-1 * * * *",
                "a * * * *",
                "@dayly",
                "@every 5",
                "+5 * * * *",
                "1-2-3 * * * *",
                "* * * * mo",
            ],
        );
    }

    #[test]
    fn amounts() {
        for (text, nano) in [
            ("0", 0),
            ("1", 1_000_000_000),
            ("500m", 500_000_000),
            ("0.5", 500_000_000),
            (".5", 500_000_000),
            ("1.", 1_000_000_000),
            ("1e3", 1_000_000_000_000),
            ("1E-3", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000_000_000),
            ("1Ki", 1_024_000_000_000),
            ("-1", -1_000_000_000),
            ("+1n", 1),
            ("1e-30", 0),
            ("0e999", 0),
            ("1e99", i128::MAX),
            ("-9999999999999Ei", -i128::MAX),
        ] {
            assert_eq!(amount(text), Some(nano), "{text}");
        }
        for text in
            ["", ".", "-", "1GB", "1 Gi", "1.2.3", "Gi", "1e", "1ki", "1mi", "1e1.5", "--1", "0x1", "1é"]
        {
            assert_eq!(amount(text), None, "{text}");
        }
    }
}
