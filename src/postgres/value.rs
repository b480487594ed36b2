//! Values as PostgreSQL reads them: this refuses what PostgreSQL would refuse, and nothing else.
//!
//! This is `parse_bool`, `parse_int`, `parse_real`, `convert_to_base_unit` and `config_enum_lookup_by_name` of PostgreSQL's
//! `bool.c` and `guc.c`, with what `strtol` and `strtod` of the C library take below them.

use super::{Kind, Parameter};

/// What a value is read as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A switch.
    Bool(bool),
    /// A number, in the parameter's unit.
    Number(f64),
    /// One of the parameter's words, as PostgreSQL writes it.
    Word(&'static str),
    /// A text.
    Text(&'a str),
}

/// A number of bytes or of microseconds, for a message.
#[derive(Debug, Clone, Copy)]
pub struct Amount(pub f64, pub Unit);

/// What an amount is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Memory,
    /// Microseconds.
    Time,
}

/// The units of memory in bytes, and of time in microseconds, from the largest.
const MEMORY: [(&str, f64); 5] =
    [("TB", 1_099_511_627_776.0), ("GB", 1_073_741_824.0), ("MB", 1_048_576.0), ("kB", 1024.0), ("B", 1.0)];
const TIME: [(&str, f64); 6] =
    [("d", 8.64e10), ("h", 3.6e9), ("min", 6e7), ("s", 1e6), ("ms", 1e3), ("us", 1.0)];

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(amount, unit) = *self;
        let units: &[(&str, f64)] = if unit == Unit::Memory { &MEMORY } else { &TIME };
        // The largest unit in which it is whole, or nearly.
        let whole = |times: f64| amount >= times && (amount % times).abs() < f64::EPSILON;
        let found = units.iter().find(|(_, times)| whole(*times));
        let found = found.or_else(|| units.iter().find(|(_, times)| amount >= *times));
        let (name, times) = found.or(units.last()).copied().unwrap_or(("", 1.0));
        let number = format!("{:.1}", amount / times);
        write!(f, "{}{name}", number.strip_suffix(".0").unwrap_or(&number))
    }
}

/// Whether a number is one that PostgreSQL takes, and what it asks, in words.
type Step = (fn(f64) -> bool, &'static str);

impl Parameter {
    /// One of its unit: bytes or microseconds; `None` of a plain number.
    pub fn base(&self) -> Option<(Unit, f64)> {
        let of = |units: &[(&str, f64)], unit: &str| {
            units.iter().find(|(name, _)| *name == unit).map(|(_, times)| *times)
        };
        match self.unit {
            "8kB" => Some((Unit::Memory, 8192.0)),
            unit => of(&MEMORY, unit)
                .map(|times| (Unit::Memory, times))
                .or_else(|| Some((Unit::Time, of(&TIME, unit)?))),
        }
    }

    /// A number in its unit as a person writes it; another text as it is.
    pub fn amount(&self, text: &str) -> String {
        match (self.base(), text.parse::<f64>()) {
            (Some((unit, base)), Ok(number)) if number > 0.0 => Amount(number * base, unit).to_string(),
            _ => text.to_owned(),
        }
    }

    /// What `text` sets it to.
    ///
    /// # Errors
    /// What it takes, where PostgreSQL would refuse this.
    pub fn read<'a>(&self, text: &'a str) -> Result<Value<'a>, String> {
        let read = match self.kind {
            Kind::Text | Kind::Hidden => Some(Value::Text(text)),
            Kind::Bool => switch(text).filter(|on| self.takes_switch(*on)).map(Value::Bool),
            Kind::Enum => {
                let (shown, unseen) = self.words();
                let mut words = shown.into_iter().chain(unseen);
                words.find(|word| word.eq_ignore_ascii_case(text)).map(Value::Word)
            }
            Kind::Integer => {
                let fits = |it: &f64| self.is_within(*it) && self.step().is_none_or(|step| step.0(*it));
                self.integer(text).filter(fits).map(Value::Number)
            }
            Kind::Real => self.real(text).filter(|it| self.is_within(*it)).map(Value::Number),
        };
        read.ok_or_else(|| self.rule())
    }

    /// What it takes, in words.
    pub fn rule(&self) -> String {
        let listed =
            |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        match self.kind {
            Kind::Text | Kind::Hidden => "a text".to_owned(),
            Kind::Bool if self.words().0.len() == 1 => format!("{} alone", listed(&self.words().0)),
            Kind::Bool => "`on` or `off`".to_owned(),
            Kind::Enum => format!("one of {}", listed(&self.words().0)),
            Kind::Integer | Kind::Real => {
                let what = if self.kind == Kind::Integer { "a whole number" } else { "a number" };
                let (least, most) = self.span().unwrap_or_default();
                let units = match self.base() {
                    Some((Unit::Memory, _)) => {
                        format!(", in {} or with B, kB, MB, GB or TB", self.unit)
                    }
                    Some((Unit::Time, _)) => format!(", in {} or with us, ms, s, min, h or d", self.unit),
                    None => String::new(),
                };
                let step = self.step().map_or("", |step| step.1);
                // Of most numbers with a fraction, any is small enough.
                let most =
                    if most.contains("e+308") { String::new() } else { format!(" to {}", self.amount(most)) };
                format!("{what} from {}{most}{step}{units}", self.amount(least))
            }
        }
    }

    /// What PostgreSQL asks of a number beyond its span, which no catalogue says.
    fn step(&self) -> Option<Step> {
        match self.name {
            "commit_timestamp_buffers"
            | "multixact_member_buffers"
            | "multixact_offset_buffers"
            | "notify_buffers"
            | "serializable_buffers"
            | "subtransaction_buffers"
            | "transaction_buffers" => Some((|it| it % 16.0 == 0.0, ", a multiple of 16 pages of 8kB")),
            "vacuum_buffer_usage_limit" => Some((|it| it == 0.0 || it >= 128.0, ", 0 or at least 128kB")),
            "io_max_concurrency" => Some((|it| it != 0.0, ", but not 0")),
            _ => None,
        }
    }

    /// Whether the server that the catalogue is of can do that.
    fn takes_switch(&self, on: bool) -> bool {
        self.words().0.contains(&if on { "on" } else { "off" })
    }

    fn is_within(&self, number: f64) -> bool {
        // The catalogue has six digits of the largest number that there is.
        let bound = |text: &str| match text.parse::<f64>() {
            Ok(bound) if bound.abs() > 1.7e308 => f64::MAX.copysign(bound),
            bound => bound.unwrap_or(f64::NAN),
        };
        self.span().is_none_or(|(least, most)| number >= bound(least) && number <= bound(most))
    }

    fn integer(&self, text: &str) -> Option<f64> {
        let (number, rest) = match whole(text) {
            Some((Some(number), rest)) if !rest.starts_with(['.', 'e', 'E']) => (number, rest),
            None if !text.starts_with('.') => return None,
            _ => decimal(text)?,
        };
        let number = self.with_unit(number, rest)?.round_ties_even();
        (number <= f64::from(i32::MAX) && number >= f64::from(i32::MIN)).then_some(number)
    }

    fn real(&self, text: &str) -> Option<f64> {
        let (number, rest) = decimal(text)?;
        self.with_unit(number, rest)
    }

    /// The number with the unit that `rest` has, in the parameter's own.
    fn with_unit(&self, number: f64, rest: &str) -> Option<f64> {
        if number.is_nan() {
            return None;
        }
        let unit = rest.trim_matches(is_space);
        if unit.is_empty() {
            // What follows the number is space.
            return Some(number);
        }
        let (of, base) = self.base()?;
        let units: &[(&str, f64)] = if of == Unit::Memory { &MEMORY } else { &TIME };
        let index = units.iter().position(|(name, _)| *name == unit)?;
        let times = |index: usize| units.get(index).map(|(_, it)| it / base);
        let converted = number * times(index)?;
        // A fraction of a unit is a number of the next smaller one.
        Some(match times(index + 1) {
            Some(next) => (converted / next).round_ties_even() * next,
            None => converted,
        })
    }
}

/// As C's `isspace`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// A switch: the beginning of a word suffices.
fn switch(text: &str) -> Option<bool> {
    let begins = |word: &str, least: usize| {
        text.len() >= least && word.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// A sign, and what follows it.
fn sign(text: &str) -> (f64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// How many digits of this base `text` begins with.
fn digits(text: &str, base: u32) -> usize {
    text.bytes().take_while(|byte| char::from(*byte).is_digit(base)).count()
}

/// What follows one of these prefixes, in whichever case.
fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// As `strtol` with base 0: a whole number, if it is not too large, and what follows it; `None` where there is none.
#[expect(clippy::cast_precision_loss, reason = "PostgreSQL takes it as a double, too")]
fn whole(text: &str) -> Option<(Option<f64>, &str)> {
    let (sign, text) = sign(text.trim_start_matches(is_space));
    let based = |prefix: &str, base: u32| {
        let rest = after(text, prefix)?;
        (digits(rest, base) > 0).then_some((rest, base))
    };
    let octal = if text.starts_with('0') { 8 } else { 10 };
    let (text, base) = based("0x", 16).or_else(|| based("0b", 2)).unwrap_or((text, octal));
    let (number, rest) = text.split_at(digits(text, base));
    let value = i64::from_str_radix(number, base).ok().map(|value| sign * value as f64);
    (!number.is_empty()).then_some((value, rest))
}

/// As `strtod`: a number and what follows it; `None` where there is none, or it is too large or too small.
fn decimal(text: &str) -> Option<(f64, &str)> {
    let (sign, text) = sign(text.trim_start_matches(is_space));
    if let Some(rest) = after(text, "infinity").or_else(|| after(text, "inf")) {
        return Some((sign * f64::INFINITY, rest));
    }
    if let Some(found) = hexadecimal(text) {
        return Some((sign * found.0, found.1)).filter(|(number, _)| number.is_finite());
    }
    let mut end = digits(text, 10);
    let mut count = end;
    if let Some(fraction) = text.get(end..).and_then(|rest| rest.strip_prefix('.')) {
        let more = digits(fraction, 10);
        count += more;
        if count > 0 {
            end += 1 + more;
        }
    }
    if count == 0 {
        return None;
    }
    let mantissa = text.get(..end)?;
    end += exponent(text.get(end..)?, "e");
    let (number, rest) = text.split_at(end);
    let value: f64 = number.parse().ok()?;
    let is_zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    (value.is_normal() || is_zero).then_some((sign * value, rest))
}

/// How long the exponent is that `text` begins with.
fn exponent(text: &str, mark: &str) -> usize {
    let Some(rest) = after(text, mark) else { return 0 };
    let unsigned = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    match digits(unsigned, 10) {
        0 => 0,
        count => text.len() - unsigned.len() + count,
    }
}

/// A number such as `0x1.8p3`.
fn hexadecimal(text: &str) -> Option<(f64, &str)> {
    let start = after(text, "0x")?;
    let (head, mut rest) = start.split_at(digits(start, 16));
    let mut fraction = "";
    if let Some(after_point) = rest.strip_prefix('.') {
        let count = digits(after_point, 16);
        if count > 0 || !head.is_empty() {
            (fraction, rest) = after_point.split_at(count);
        }
    }
    if head.is_empty() && fraction.is_empty() {
        return None;
    }
    let value = |digits: &str| {
        digits.chars().fold(0.0, |sum, c| sum * 16.0 + f64::from(c.to_digit(16).unwrap_or_default()))
    };
    let places = i32::try_from(fraction.len()).ok()?;
    let mantissa = value(head) + value(fraction) / 16_f64.powi(places);
    let (power, rest) = rest.split_at(exponent(rest, "p"));
    let power = after(power, "p").map_or(Ok(0), str::parse::<i32>).ok()?;
    Some((mantissa * 2_f64.powi(power), rest))
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;
    use crate::config::types::Version;

    fn read(name: &str, text: &str) -> Option<f64> {
        match find(Version::V17, name).unwrap().read(text).ok()? {
            Value::Number(number) => Some(number),
            Value::Bool(on) => Some(f64::from(u8::from(on))),
            Value::Word(_) | Value::Text(_) => Some(0.0),
        }
    }

    /// Each of these was asked of PostgreSQL 17 as well.
    #[test]
    fn values_are_read_as_postgresql_reads_them() {
        for (name, text, expected) in [
            ("work_mem", "4 MB", 4096.0),
            ("work_mem", "1.5GB", 1_572_864.0),
            ("work_mem", "0x1000", 4096.0),
            ("work_mem", "0b1000000", 64.0),
            ("work_mem", "0100", 64.0),
            ("work_mem", "1e3", 1000.0),
            ("work_mem", " 64.4 ", 64.0),
            ("shared_buffers", "30.1GB", 3_945_216.0),
            ("work_mem", "0x1p10", f64::NAN),
            ("seq_page_cost", "0x1p3", 8.0),
            ("checkpoint_timeout", "1h", 3600.0),
            ("checkpoint_timeout", "30", 30.0),
            ("autovacuum", "T", 1.0),
            ("autovacuum", "of", 0.0),
            ("synchronous_commit", "FALSE", 0.0),
            ("wal_level", "archive", 0.0),
            ("random_page_cost", ".5", 0.5),
            ("vacuum_cost_delay", "500us", 0.5),
        ] {
            let found = read(name, text);
            assert_eq!(found, Some(expected).filter(|it| !it.is_nan()), "{name} = {text}");
        }
        for (name, text) in [
            ("work_mem", "4mb"),
            ("work_mem", "4MBs"),
            ("work_mem", "4 M B"),
            ("work_mem", "08"),
            ("work_mem", " .5GB"),
            ("work_mem", "63"),
            ("work_mem", "inf"),
            ("work_mem", ""),
            ("max_connections", "10MB"),
            ("max_connections", "lots"),
            ("autovacuum", "o"),
            ("autovacuum", " on"),
            ("seq_page_cost", "nan"),
            ("seq_page_cost", "inf"),
            ("seq_page_cost", "1e999"),
            ("seq_page_cost", "1e-999"),
            ("log_statement", "everything"),
            ("bonjour", "on"),
        ] {
            assert_eq!(read(name, text), None, "{name} = {text}");
        }
    }

    #[test]
    fn amounts_are_written_in_a_fitting_unit() {
        let memory = |bytes| Amount(bytes, Unit::Memory).to_string();
        assert_eq!(memory(65536.0), "64kB");
        assert_eq!(memory(1.5 * 1_073_741_824.0), "1536MB");
        assert_eq!(memory(2_147_483_647.0 * 1024.0), "2147483647kB");
        assert_eq!(Amount(3e8, Unit::Time).to_string(), "5min");
    }
}
