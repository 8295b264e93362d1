//! `imgbuild tags`.

use crate::{event::Sink, settings::ResolvedNames, solve};

/// Tells what looks wrong with rules, and why they give nothing if they do.
pub(super) fn tell(resolved: &ResolvedNames, sink: &Sink) {
    let gives_nothing = resolved.names.is_empty();
    for note in resolved.notes.iter().filter(|note| note.warning || gives_nothing) {
        sink.warn(format!("tag rule `{}`: {}", note.rule, note.text));
    }
    if resolved.plan.is_some() && gives_nothing {
        sink.warn("no rule gives a tag: the image has no name");
    }
}

/// The options with the labels and annotations of the plan; those that are there go before them.
pub(super) fn described(resolved: &ResolvedNames, options: solve::Options) -> solve::Options {
    let Some(plan) = &resolved.plan else { return options };
    let mut labels = plan.labels.clone();
    labels.extend(options.labels);
    let with = |is_on: bool, own| {
        let mut all = if is_on { plan.annotations.clone() } else { Default::default() };
        all.extend(own);
        all
    };
    solve::Options {
        labels,
        annotations: with(resolved.levels.manifest, options.annotations),
        index_annotations: with(resolved.levels.index, options.index_annotations),
        ..options
    }
}
