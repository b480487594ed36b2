//! Instances rendered one after the other.
//!
//! To check manifests takes several times as long as to render them, and most of many instances differ in their names
//! alone. So of each shape, the instance of stand-in names is checked, and one that is the same text but for the
//! names, each at exactly the places where the stand-ins are, is as good: the rules ask what is equal to what, which
//! no such exchange changes, and of which characters and how long a name is, of which the stand-ins are the longest.
//! The checksum of files that have the names in them is one more such word. Whatever else differs is checked.

use std::cmp::Reverse;

use anyhow::Context as _;
use memchr::memmem::Finder;

use super::{DEFECT, Rendered, Scenario, by_strategy, check, others, unchecked};
use crate::config::Plan;
use crate::config::types::Namespace;
use crate::manifest::Graph;
use crate::render::{Document, Renderer, escape};

/// As long as a name may be, and in no template.
const NAME: &str = "stand-in-for-the-name-of-any-instance-ab";
/// The same for a namespace.
const NAMESPACE: &str = "stand-in-for-the-namespace-that-any-instance-may-be-put-in-abcd";

/// More shapes are not kept: a hundred kilobytes each.
const MOST: usize = 64;

/// What is known of the instances before.
#[derive(Debug, Default)]
pub struct Series {
    shapes: Vec<Shape>,
    /// Whether there was one: who renders but one has no use for a shape.
    begun: bool,
}

/// Manifests of stand-in names that were checked.
#[derive(Debug)]
struct Shape {
    manifests: Vec<Document>,
    graph: Graph,
    checksum: Option<String>,
}

impl Series {
    /// Renders `scenario` as `plan` says, and checks the result.
    ///
    /// # Errors
    /// A template is broken, which is a defect of pgk: no plan should bring it about.
    pub fn render(&mut self, scenario: &Scenario, plan: &Plan) -> anyhow::Result<Rendered> {
        let scenario = by_strategy(scenario, plan);
        let (manifests, mut renderer) = unchecked(scenario, plan)?;
        let graph = match self.shape_of(scenario, plan, &manifests, &renderer) {
            Some(shape) => {
                let mut graph = shape.graph.clone();
                for node in &mut graph.nodes {
                    node.name = node.name.replace(NAME, plan.name.as_str());
                }
                graph
            }
            None => check(scenario, plan, &manifests)?.graph(),
        };
        let others = others(scenario, plan, &manifests, &graph, &mut renderer).context(DEFECT)?;
        Ok(Rendered { manifests, others })
    }

    /// The manifests alone, checked.
    ///
    /// # Errors
    /// As for [`Self::render`].
    pub fn manifests(&mut self, scenario: &Scenario, plan: &Plan) -> anyhow::Result<Vec<Document>> {
        let scenario = by_strategy(scenario, plan);
        let (manifests, renderer) = unchecked(scenario, plan)?;
        if self.shape_of(scenario, plan, &manifests, &renderer).is_none() {
            check(scenario, plan, &manifests)?;
        }
        Ok(manifests)
    }

    /// The shape that `manifests` have, and that was checked.
    fn shape_of(
        &mut self,
        scenario: &Scenario,
        plan: &Plan,
        manifests: &[Document],
        renderer: &Renderer,
    ) -> Option<&Shape> {
        let is_it = |shape: &Shape| shape.is_of(plan, manifests, renderer);
        let begun = std::mem::replace(&mut self.begun, true);
        let known = self.shapes.iter().position(is_it);
        if known.is_none() && begun && self.shapes.len() < MOST {
            // What is wrong with it is said of the instance itself, with its own names.
            let shape = Shape::of(scenario, plan).ok().filter(is_it)?;
            self.shapes.push(shape);
            return self.shapes.last();
        }
        self.shapes.get(known?)
    }
}

impl Shape {
    /// What `plan` is with stand-ins for its names.
    fn of(scenario: &Scenario, plan: &Plan) -> anyhow::Result<Self> {
        let parse = |namespace: &str| namespace.parse().map_err(anyhow::Error::msg);
        let namespace = match &plan.namespace {
            Some(own) if own.as_str() == plan.name.as_str() => Some(parse(NAME)?),
            own => own.as_ref().map(|_| parse(NAMESPACE)).transpose()?,
        };
        let plan = Plan { name: NAME.parse().map_err(anyhow::Error::msg)?, namespace, ..plan.clone() };
        let (manifests, renderer) = unchecked(scenario, &plan)?;
        let graph = check(scenario, &plan, &manifests)?.graph();
        Ok(Self { manifests, graph, checksum: checksum(&renderer) })
    }

    /// Whether these manifests of `plan` are the same but for the names.
    fn is_of(&self, plan: &Plan, manifests: &[Document], renderer: &Renderer) -> bool {
        let name = plan.name.as_str();
        let namespace = plan.namespace.as_ref().map(Namespace::as_str).filter(|own| *own != name);
        let own_checksum = checksum(renderer);
        let mut renamed = vec![(NAME, name)];
        renamed.extend(namespace.map(|own| (NAMESPACE, own)));
        renamed.extend(self.checksum.as_deref().zip(own_checksum.as_deref()));
        // One may have another in it.
        renamed.sort_by_key(|(_, own)| Reverse(own.len()));
        let renamed: Vec<_> =
            renamed.into_iter().map(|(one, other)| (Finder::new(one), Finder::new(other))).collect();
        self.manifests.len() == manifests.len()
            && self.manifests.iter().zip(manifests).all(|(own, other)| {
                own.path == other.path
                    && is_renamed(own.text.outline().as_bytes(), other.text.outline().as_bytes(), &renamed)
            })
    }
}

/// The checksum as it stands in a manifest, where it is quoted if it begins with a digit.
fn checksum(renderer: &Renderer) -> Option<String> {
    renderer.checksum().map(|checksum| escape::yaml(checksum).into_owned())
}

/// Whether `text` is `other` if each first of `renamed` becomes the second, and `other` is `text` if the second
/// becomes the first: what is equal in one is equal in the other.
fn is_renamed(text: &[u8], other: &[u8], renamed: &[(Finder<'_>, Finder<'_>)]) -> bool {
    let [(one, another), rest @ ..] = renamed else { return text == other };
    let (mut parts, mut others) = (split(text, one), split(other, another));
    loop {
        match (parts.next(), others.next()) {
            (None, None) => return true,
            (Some(part), Some(other)) if is_renamed(part, other, rest) => {}
            _ => return false,
        }
    }
}

/// What stands before, between and after the places where a word is: `str::split`, many times as fast.
fn split<'t>(text: &'t [u8], word: &'t Finder<'_>) -> impl Iterator<Item = &'t [u8]> {
    let mut begin = 0;
    word.find_iter(text).chain([text.len()]).map(move |end| {
        let part = text.get(begin..end).unwrap_or_default();
        begin = end + word.needle().len();
        part
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Q1, Q2, Q3};
    use super::*;
    use crate::config::{Sources, load};

    fn plan(set: &[&str]) -> Plan {
        let set = set.iter().map(|&set| set.to_owned()).collect();
        load(&Sources { set, ..Sources::default() }).unwrap()
    }

    /// Whether the instance of these settings is taken for good without a check, in this series.
    fn is_known(series: &Series, scenario: &Scenario, set: &[&str], edit: impl Fn(&mut Document)) -> bool {
        let plan = plan(set);
        let (mut manifests, renderer) = unchecked(by_strategy(scenario, &plan), &plan).unwrap();
        manifests.iter_mut().for_each(edit);
        series.shapes.iter().any(|shape| shape.is_of(&plan, &manifests, &renderer))
    }

    #[test]
    fn of_one_shape_one_is_checked() {
        for scenario in [&Q1, &Q2, &Q3] {
            let mut series = Series::default();
            for (set, shapes) in [
                (["name=bakery", "replicas=2"].as_slice(), 0),
                (&["name=blog"], 1),
                (&["name=the-longest-name-that-an-instance-has-00"], 1),
                (&["name=blog", "replicas=3"], 2),
                (&["name=blog", "namespace=blog"], 3),
                (&["name=blog", "namespace=data-bases"], 4),
                (&["name=blog", "namespace=blog-data-bases"], 4),
                (&["name=data-bases-blog", "namespace=data-bases"], 4),
                (&["name=blog", "namespace=tests-9", "storage.size=1Gi"], 5),
                // In other words too, or a word of YAML: each of these is checked itself.
                (&["name=pg"], 5),
                (&["name=on"], 5),
                (&["name=blog", "namespace=17"], 5),
            ] {
                let rendered = series.render(scenario, &plan(set)).unwrap();
                assert_eq!(series.shapes.len(), shapes, "{} {set:?}", scenario.id);
                assert_eq!(rendered, Series::default().render(scenario, &plan(set)).unwrap());
            }
        }
    }

    #[test]
    fn nothing_but_names_may_differ() {
        let mut series = Series::default();
        for name in ["name=bakery-1", "name=bakery-2"] {
            series.manifests(&Q1, &plan(&[name])).unwrap();
        }
        assert!(is_known(&series, &Q1, &["name=bakery"], |_| {}));
        assert!(!is_known(&series, &Q2, &["name=bakery"], |_| {}));
        assert!(!is_known(&series, &Q1, &["name=bakery", "postgres.database=blog"], |_| {}));
        for (from, to) in [
            ("name: bakery-rw", "name: bakery-rx"),
            ("name: bakery-rw", "name: blog-rw"),
            ("pgk", "bakery"),
            ("mountPath:", "mountPth:"),
            ("\n", "\n\n"),
        ] {
            let edit = |document: &mut Document| {
                document.text = document.text.to_string().replacen(from, to, 1).into();
            };
            assert!(!is_known(&series, &Q1, &["name=bakery"], edit), "{from} {to}");
        }
    }

    #[test]
    fn names_are_told_from_what_is_like_them() {
        let names =
            [("NAME", "a"), ("SPACE", "b")].map(|(one, other)| (Finder::new(one), Finder::new(other)));
        let is_renamed = |text: &str, other: &str| is_renamed(text.as_bytes(), other.as_bytes(), &names);
        assert!(is_renamed("x NAME-rw SPACE", "x a-rw b"));
        for (text, other) in
            [("x NAME", "x b"), ("NAME a", "a a"), ("NAME", "a a"), ("NAME NAME", "a"), ("NAME b", "a b")]
        {
            assert!(!is_renamed(text, other), "{text} {other}");
        }
    }

    #[test]
    fn the_stand_ins_are_the_longest_names() {
        assert!(NAME.parse::<crate::config::types::Name>().is_ok());
        assert!(NAMESPACE.parse::<crate::config::types::Namespace>().is_ok());
        assert!(format!("{NAME}x").parse::<crate::config::types::Name>().is_err());
        assert!(format!("{NAMESPACE}x").parse::<crate::config::types::Namespace>().is_err());
    }
}
