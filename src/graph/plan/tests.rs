use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::{
    layer::EntryPath,
    recipe::{Copy, Destination, Rules, Stage, Write},
};

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn copy(from: CopySource, source: &str) -> Step {
    step(
        &format!("copy {source}"),
        StepKind::Copy(Copy {
            independent: true,
            empty_globs: false,
            split: None,
            rules: Rules::Own,
            ..Copy::docker(from, vec![source.into()], Destination::Directory(None))
        }),
    )
}

fn write(text: &str) -> Step {
    let path = EntryPath::new("file").unwrap();
    step(
        "write",
        StepKind::Write(Write {
            path,
            content: Bytes::copy_from_slice(text.as_bytes()),
            owner: None,
            mode: None,
        }),
    )
}

fn step(name: &str, kind: StepKind) -> Step {
    Step { name: name.into(), created_by: name.into(), location: None, kind }
}

fn stage(name: &str, base: Base, platform: &Platform, steps: Vec<Step>) -> Stage {
    Stage { name: name.into(), base, platform: platform.clone(), steps }
}

fn recipe(stages: Vec<Stage>) -> Recipe {
    Recipe { stages, annotations: BTreeMap::new(), index_annotations: BTreeMap::new() }
}

#[test]
fn what_does_not_depend_on_the_platform_is_one_node() {
    let recipes: Vec<_> = ["linux/amd64", "linux/arm64"]
        .map(|name| {
            let platform = platform(name);
            let steps = vec![copy(CopySource::Context(String::new()), "src"), write(name), write("same")];
            (platform.clone(), recipe(vec![stage("app", Base::Scratch, &platform, steps)]))
        })
        .into();
    let graph = Graph::new(&recipes);
    // One copy; two files that differ; and two that are the same but lie on layers that differ.
    assert_eq!(graph.nodes.len(), 5);
    assert_eq!(graph.nodes[0].platforms.len(), 2);
    assert_eq!(graph.images.len(), 2);
    assert_eq!(graph.images[0].steps[0].node, graph.images[1].steps[0].node);
}

#[test]
fn only_the_targets_own_line_is_shipped() {
    let platform = platform("linux/amd64");
    let graph = Graph::new(&[(
        platform.clone(),
        recipe(vec![
            stage("tools", Base::Scratch, &platform, vec![write("tool")]),
            stage("lower", Base::Scratch, &platform, vec![write("lower")]),
            stage("app", Base::Stage(1), &platform, vec![copy(CopySource::Stage(0), "file")]),
        ]),
    )]);
    let shipped: Vec<_> = graph.nodes.iter().map(|node| (node.stage.as_str(), node.shipped)).collect();
    assert_eq!(shipped, [("tools", false), ("lower", true), ("app", true)]);
    assert_eq!(graph.nodes[2].origins, [Origin::Tree(Tree { base: None, nodes: vec![NodeId(0)] })]);
    assert_eq!(graph.images[0].steps.len(), 2);
}
