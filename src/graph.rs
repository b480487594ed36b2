//! A graph of manifests, drawn: as mermaid text, which Markdown shows as a picture, and as SVG.

use std::fmt::Write as _;

use crate::manifest::{Graph, Node};

/// The graph as a mermaid flowchart, ended by a line break.
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (number, node) in graph.nodes.iter().enumerate() {
        let (open, close) = if layer(node) == WORKLOADS { ("([", "])") } else { ("[", "]") };
        let (kind, name) = (mermaid_text(&node.kind), mermaid_text(&node.name));
        let class = if node.rendered { "" } else { ":::outside" };
        let _ = writeln!(text, "    n{number}{open}\"{kind}<br>{name}\"{close}{class}");
    }
    for (from, to) in &graph.links {
        let _ = writeln!(text, "    n{from} --> n{to}");
    }
    if graph.nodes.iter().any(|node| !node.rendered) {
        text.push_str("    classDef outside stroke-dasharray: 4\n");
    }
    text
}

/// Every other character than these could end a quoted text, or be taken for markup.
fn mermaid_text(text: &str) -> String {
    text.chars().fold(String::new(), |mut done, c| {
        if c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '…') {
            done.push(c);
        } else {
            let _ = write!(done, "#{};", u32::from(c));
        }
        done
    })
}

/// The column of those that run.
const WORKLOADS: usize = 1;

/// The column of an object, from the left: who leads to pods, what makes pods, what these use, and rights.
fn layer(node: &Node) -> usize {
    match node.kind.as_str() {
        "Service" | "PodDisruptionBudget" | "NetworkPolicy" => 0,
        "StatefulSet" | "Deployment" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob" | "Pod" => WORKLOADS,
        "RoleBinding" | "ClusterRoleBinding" => 3,
        "Role" | "ClusterRole" => 4,
        _ => 2,
    }
}

/// Width of a character of the font, in pixels.
const CHARACTER: usize = 8;
/// Height of a box, in pixels.
const HEIGHT: usize = 44;
/// Between two boxes of a column, and around all.
const GAP: usize = 16;
/// Between two columns, where the links are.
const CHANNEL: usize = 120;

/// Where a node is drawn, in pixels.
struct Box {
    x: usize,
    y: usize,
    width: usize,
}

/// The graph as an SVG picture, ended by a line break: a column for each sort of object, in the order of the documents.
pub fn svg(graph: &Graph) -> String {
    let (boxes, width, height) = layout(graph);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
        font-family=\"monospace\" font-size=\"13\">\n\
        <defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
        orient=\"auto\"><path d=\"M0 0L8 4L0 8Z\" fill=\"#666\"/></marker></defs>\n\
        <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (from, to) in &graph.links {
        let (Some(from), Some(to)) = (boxes.get(*from), boxes.get(*to)) else { continue };
        // From one's side to the other's that faces it.
        let (start, end) =
            if from.x < to.x { (from.x + from.width, to.x) } else { (from.x, to.x + to.width) };
        let (middle, above, below) = (usize::midpoint(start, end), from.y + HEIGHT / 2, to.y + HEIGHT / 2);
        let _ = writeln!(
            text,
            "<path d=\"M{start} {above}C{middle} {above} {middle} {below} {end} {below}\" fill=\"none\" stroke=\"#666\" \
            marker-end=\"url(#end)\"/>"
        );
    }
    for (node, Box { x, y, width }) in graph.nodes.iter().zip(&boxes) {
        let fill = if layer(node) == WORKLOADS { "#dbeafe" } else { "#f3f4f6" };
        let dashes = if node.rendered { "" } else { " stroke-dasharray=\"4\"" };
        let (left, kind_line, name_line) = (x + CHARACTER, y + 18, y + 35);
        let (kind, name) = (xml(&node.kind), xml(&node.name));
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" rx=\"4\" fill=\"{fill}\" \
            stroke=\"#444\"{dashes}/>\n\
            <text x=\"{left}\" y=\"{kind_line}\" fill=\"#555\">{kind}</text>\n\
            <text x=\"{left}\" y=\"{name_line}\" fill=\"#111\" font-weight=\"bold\">{name}</text>"
        );
    }
    text.push_str("</svg>\n");
    text
}

/// The box of each node, and the size of the whole.
fn layout(graph: &Graph) -> (Vec<Box>, usize, usize) {
    let columns = graph.nodes.iter().map(layer).max().map_or(0, |last| last + 1);
    let mut boxes: Vec<Box> = graph.nodes.iter().map(|_| Box { x: 0, y: 0, width: 0 }).collect();
    let (mut x, mut height) = (GAP, GAP);
    for column in 0..columns {
        let characters = |node: &Node| node.kind.chars().count().max(node.name.chars().count());
        let of_column = || graph.nodes.iter().zip(0..).filter(move |(node, _)| layer(node) == column);
        let Some(widest) = of_column().map(|(node, _)| characters(node)).max() else { continue };
        let width = (widest + 2) * CHARACTER;
        for (row, (_, number)) in of_column().enumerate() {
            let y = GAP + row * (HEIGHT + GAP);
            height = height.max(y + HEIGHT + GAP);
            if let Some(place) = boxes.get_mut::<usize>(number) {
                *place = Box { x, y, width };
            }
        }
        x += width + CHANNEL;
    }
    (boxes, x.saturating_sub(CHANNEL) + GAP, height)
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Graph {
        let node = |kind: &str, name: &str, rendered| Node { kind: kind.into(), name: name.into(), rendered };
        Graph {
            nodes: vec![
                node("Service", "a\"]\n<b>&", true),
                node("Pod", "b", true),
                node("Secret", "c", false),
            ],
            links: vec![(0, 1), (1, 2)],
        }
    }

    #[test]
    fn mermaid_escapes_what_is_no_name() {
        assert_eq!(
            mermaid(&hostile()),
            "flowchart LR\n    n0[\"Service<br>a#34;#93;#10;#60;b#62;#38;\"]\n    n1([\"Pod<br>b\"])\n    \
            n2[\"Secret<br>c\"]:::outside\n    n0 --> n1\n    n1 --> n2\n    classDef outside stroke-dasharray: 4\n"
        );
        assert_eq!(mermaid(&Graph::default()), "flowchart LR\n");
    }

    #[test]
    fn svg_has_columns_and_escapes_texts() {
        let picture = svg(&hostile());
        assert!(picture.contains(">a\"]\n&lt;b&gt;&amp;</text>"), "{picture}");
        assert_eq!(picture.matches("marker-end").count(), 2, "{picture}");
        assert_eq!(picture.matches("stroke-dasharray").count(), 1);
        let (boxes, width, height) = layout(&hostile());
        assert!(boxes.windows(2).all(|pair| pair[0].x + pair[0].width < pair[1].x));
        assert!(boxes.iter().all(|one| one.x + one.width < width && one.y + HEIGHT < height));
        assert_eq!(layout(&Graph::default()).2, GAP);
    }
}
