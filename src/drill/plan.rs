//! Which events to do, in which order: one from the command line, or a file of several.

use std::fs;

use serde::Deserialize;

use super::event::{Event, Target};
use crate::error::{Diagnostic, Place};
use crate::yaml::{Words, diagnose};

/// A line of a plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    event: String,
    target: Option<String>,
    repeat: Option<u16>,
}

/// The most drills that one call does.
const MOST: usize = 1000;

/// The events that `what` names, each as often as it is to be done.
pub(super) fn steps(what: &str, target: Target, repeat: u16) -> Result<Vec<(Event, Target)>, Diagnostic> {
    let is_file = std::path::Path::new(what)
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml"));
    let steps = if is_file { read(what, target)? } else { vec![(event(what)?, target, 1)] };
    let once: Vec<_> = steps
        .into_iter()
        .flat_map(|(event, target, times)| vec![(event, event.target(target)); usize::from(times)])
        .collect();
    let all = once.repeat(usize::from(repeat));
    if all.is_empty() || all.len() > MOST {
        return Err(Diagnostic::new(format!("a plan has 1 to {MOST} drills; this one has {}", all.len())));
    }
    Ok(all)
}

fn event(name: &str) -> Result<Event, Diagnostic> {
    name.parse().map_err(|why: String| Diagnostic::new(why).help("`pgk drill --list` explains them"))
}

fn read(path: &str, default: Target) -> Result<Vec<(Event, Target, u16)>, Diagnostic> {
    let place = |position| Place::File { path: path.to_owned(), position };
    let text = fs::read_to_string(path)
        .map_err(|why| Diagnostic::new(format!("cannot read the plan: {why}")).at(place(None)))?;
    let options = serde_yaml::options! { with_snippet: false };
    let steps: Vec<Step> = serde_yaml::from_str_with_options(&text, options).map_err(|error| {
        let words = Words {
            whole: "the plan",
            map: "a step",
            one: "put all steps into one list",
            help: "a step has event, target and repeat",
        };
        diagnose(&error, path, &text, &words)
    })?;
    let step = |step: Step| {
        let target = match step.target.as_deref() {
            None => default,
            Some(name) => <Target as clap::ValueEnum>::from_str(name, false).map_err(|_| {
                Diagnostic::new(format!("a target is primary, replica or all, not `{}`", name.escape_debug()))
            })?,
        };
        Ok((event(&step.event)?, target, step.repeat.unwrap_or(1)))
    };
    steps.into_iter().map(step).collect::<Result<_, Diagnostic>>().map_err(|error| error.at(place(None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_done_in_order_and_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        fs::write(&path, "- {event: pod-delete, repeat: 2}\n- event: postgres-kill\n  target: replica\n")
            .unwrap();
        let steps = steps(path.to_str().unwrap(), Target::Primary, 2).unwrap();
        let once = [
            (Event::PodDelete, Target::Primary),
            (Event::PodDelete, Target::Primary),
            (Event::PostgresKill, Target::Replica),
        ];
        assert_eq!(steps, once.repeat(2));
    }

    #[test]
    fn what_takes_everything_has_no_other_target() {
        let steps = steps("total-loss", Target::Primary, 1).unwrap();
        assert_eq!(steps, [(Event::TotalLoss, Target::All)]);
    }

    #[test]
    fn errors_say_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        for (plan, says) in [
            ("- {event: pod-delete, times: 2}\n", "unknown key `times`"),
            ("- {event: fire}\n", "there is no event `fire`"),
            ("- {event: pod-delete, target: x}\n", "a target is primary, replica or all"),
            ("[]", "a plan has 1 to 1000 drills"),
            ("- fire\n", "a step is expected here"),
            (
                "- {event: pod-delete}\n---\n- {event: pod-delete}\n",
                "the plan holds more than one YAML document",
            ),
        ] {
            fs::write(&path, plan).unwrap();
            let error = steps(path.to_str().unwrap(), Target::Primary, 1).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(steps("fire", Target::Primary, 1).unwrap_err().to_string().contains("there is no event"));
    }
}
