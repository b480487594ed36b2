//! `pgk drill`: breaks a cluster on purpose and proves what it kept.

use crate::drill::{self, Arguments};

/// Runs the drills and prints what they showed.
///
/// # Errors
/// As for [`drill::drill`]; a drill that lost something or broke a limit.
pub fn drill(arguments: &Arguments) -> anyhow::Result<()> {
    let shown = drill::drill(arguments)?;
    super::print(&shown.text)?;
    anyhow::ensure!(shown.passed, "the drill did not pass");
    Ok(())
}
