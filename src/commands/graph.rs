//! `pgk graph`: the objects of a scenario and their links, drawn.

use super::instances::Instances;
use crate::cli::Graph;
use crate::error::Diagnostic;
use crate::graph::{mermaid, svg};
use crate::scenario;

/// Prints the graph.
///
/// # Errors
/// As for [`super::generate`]; there are several instances.
pub fn graph(arguments: Graph) -> anyhow::Result<()> {
    let scenario = arguments.scenario;
    let instances = Instances::load(arguments.config, Some(scenario))?;
    let [plan] = instances.plans() else {
        return Err(Diagnostic::new("a graph shows one instance")
            .help("give the path of one file after -f")
            .into());
    };
    let graph = scenario::graph(scenario, plan)?;
    super::print(&if arguments.svg { svg(&graph) } else { mermaid(&graph) })
}
