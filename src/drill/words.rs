//! Numbers as a reader sees them.

/// Milliseconds as seconds: two decimals below ten, one above.
pub(super) fn seconds(ms: u64) -> String {
    in_seconds(float(ms))
}

/// The same, of a figure that may have a fraction.
pub(super) fn in_seconds(ms: f64) -> String {
    // Rounded first, so that 9.996 does not become 10.00.
    let hundredths = (ms / 10.0).round();
    if hundredths < 1000.0 { format!("{:.2}", hundredths / 100.0) } else { format!("{:.1}", ms / 1000.0) }
}

/// A number and the noun that goes with it.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A count or a number of milliseconds as a float; both stay far below what a `u32` holds.
pub(super) fn float<T: TryInto<u32>>(number: T) -> f64 {
    f64::from(number.try_into().unwrap_or(u32::MAX))
}
