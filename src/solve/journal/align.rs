//! Which steps of two builds are one and the same.

use std::collections::BTreeMap;

use super::StepRecord;

/// What the steps of a build were in an earlier one.
#[derive(Debug, Default)]
pub(super) struct Alignment {
    /// For each step, its place in the earlier build.
    pub(super) before: Vec<Option<usize>>,
    /// Whether others that were behind it are now before it, or the other way round: as few steps as explain the order.
    pub(super) moved: Vec<bool>,
    /// Those that are not there any more.
    pub(super) gone: Vec<usize>,
}

/// Finds them: within a stage and a platform by their text, in order; then, between two that were found, those that say
/// something else but begin with the same word.
pub(super) fn align(new: &[StepRecord], old: &[StepRecord]) -> Alignment {
    let mut found =
        Alignment { before: vec![None; new.len()], moved: vec![false; new.len()], gone: Vec::new() };
    let (news, mut olds) = (groups(new), groups(old));
    let renamed = renamed(&news, &olds);
    for ((stage, platforms), steps) in &news {
        let stage = renamed.get(stage).copied().unwrap_or(stage);
        let exact = (stage, platforms.clone());
        // A step that serves several platforms may have served fewer.
        let group = if olds.contains_key(&exact) {
            Some(exact)
        } else {
            let serves = |of: &[String]| of.iter().any(|platform| platforms.contains(platform));
            olds.keys().find(|(name, of)| *name == stage && serves(of)).cloned()
        };
        let Some(candidates) = group.and_then(|group| olds.remove(&group)) else { continue };
        within(&mut found, (new, steps), (old, &candidates));
    }
    let known: Vec<usize> = found.before.iter().flatten().copied().collect();
    found.gone = (0..old.len()).filter(|at| !known.contains(at)).collect();
    found
}

type Groups<'a> = BTreeMap<(&'a str, Vec<String>), Vec<usize>>;

fn groups(steps: &[StepRecord]) -> Groups<'_> {
    let mut groups = Groups::new();
    for (at, step) in steps.iter().enumerate() {
        groups.entry((step.stage.as_str(), step.platforms.clone())).or_default().push(at);
    }
    groups
}

/// The old names of stages that have new ones: where as many are new as are gone, in their order.
fn renamed<'a>(new: &Groups<'a>, old: &Groups<'a>) -> BTreeMap<&'a str, &'a str> {
    let only = |these: &Groups<'a>, others: &Groups<'a>| {
        let mut names: Vec<(usize, &'a str)> = Vec::new();
        for ((name, _), steps) in these {
            if !others.keys().any(|(other, _)| other == name) && !names.iter().any(|(_, known)| known == name)
            {
                names.push((steps[0], name));
            }
        }
        names.sort_unstable();
        names
    };
    let (new, old) = (only(new, old), only(old, new));
    if new.len() != old.len() {
        return BTreeMap::new();
    }
    new.into_iter().zip(old).map(|((_, new), (_, old))| (new, old)).collect()
}

fn within(
    found: &mut Alignment,
    (new, news): (&[StepRecord], &[usize]),
    (old, olds): (&[StepRecord], &[usize]),
) {
    let mut free: Vec<usize> = olds.to_vec();
    let mut take = |fits: &dyn Fn(usize) -> bool| {
        let at = free.iter().position(|at| fits(*at))?;
        Some(free.remove(at))
    };
    for at in news {
        found.before[*at] =
            take(&|known| old[known].name == new[*at].name && same_kind(&old[known], &new[*at]));
    }
    for (place, at) in news.iter().enumerate() {
        if found.before[*at].is_some() {
            continue;
        }
        // Only between the old places of those around it: elsewhere it is another step.
        let after = news[..place].iter().rev().find_map(|at| found.before[*at]);
        let until = news[place + 1..].iter().find_map(|at| found.before[*at]);
        found.before[*at] = take(&|known| {
            after.is_none_or(|after| known > after)
                && until.is_none_or(|until| known < until)
                && same_kind(&old[known], &new[*at])
        });
    }
    let pairs: Vec<(usize, usize)> = news.iter().filter_map(|at| Some((*at, found.before[*at]?))).collect();
    let keep = longest_rising(&pairs.iter().map(|(_, before)| *before).collect::<Vec<_>>());
    for (place, (at, _)) in pairs.iter().enumerate() {
        found.moved[*at] = !keep.contains(&place);
    }
}

fn same_kind(a: &StepRecord, b: &StepRecord) -> bool {
    let verb = |step: &StepRecord| step.name.split_whitespace().next().map(str::to_ascii_uppercase);
    a.command == b.command && verb(a) == verb(b)
}

/// The places of a longest rising sequence. Builds have tens of steps: the square of that is nothing.
fn longest_rising(numbers: &[usize]) -> Vec<usize> {
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let before = (0..at).filter(|other| numbers[*other] < *number).max_by_key(|other| best[*other].0);
        best.push((before.map_or(1, |other| best[other].0 + 1), before));
    }
    let mut at = (0..best.len()).max_by_key(|at| best[*at].0);
    let mut places = Vec::new();
    while let Some(place) = at {
        places.push(place);
        at = best[place].1;
    }
    places.reverse();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(names: &str) -> Vec<StepRecord> {
        let step = |(at, name): (usize, &str)| StepRecord {
            stage: "app".into(),
            number: at + 1,
            platforms: vec!["linux/amd64".into()],
            name: name.replace('-', " "),
            command: name.starts_with("RUN"),
            ..StepRecord::default()
        };
        names.split(' ').enumerate().map(step).collect()
    }

    #[test]
    fn steps_are_known_again() {
        // The steps of now; what they were before; those that moved; those that are gone.
        for (new, old, before, moved, gone) in [
            ("RUN-a COPY-b", "RUN-a COPY-b", "0 1", "", ""),
            ("RUN-a RUN-new COPY-b", "RUN-a COPY-b", "0 - 1", "", ""),
            ("RUN-a COPY-b", "RUN-a RUN-old COPY-b", "0 2", "", "1"),
            ("RUN-a RUN-edited COPY-b", "RUN-a RUN-x COPY-b", "0 1 2", "", ""),
            ("RUN-a COPY-edited RUN-b", "RUN-a RUN-x RUN-b", "0 - 2", "", "1"),
            ("RUN-b RUN-a RUN-c", "RUN-a RUN-b RUN-c", "1 0 2", "0", ""),
            ("RUN-c RUN-a RUN-b", "RUN-a RUN-b RUN-c", "2 0 1", "0", ""),
            ("RUN-a RUN-a", "RUN-a", "0 -", "", ""),
        ] {
            let (new, old) = (steps(new), steps(old));
            let found = align(&new, &old);
            let shown: Vec<_> =
                found.before.iter().map(|at| at.map_or("-".to_owned(), |at| at.to_string())).collect();
            assert_eq!(shown.join(" "), before);
            let places: Vec<_> =
                (0..new.len()).filter(|at| found.moved[*at]).map(|at| at.to_string()).collect();
            assert_eq!(places.join(" "), moved, "{before}");
            let left: Vec<_> = found.gone.iter().map(ToString::to_string).collect();
            assert_eq!(left.join(" "), gone, "{before}");
        }
    }

    #[test]
    fn stages_and_platforms_are_kept_apart() {
        let mut old = steps("RUN-a RUN-a");
        let mut new = steps("RUN-a RUN-a RUN-a");
        old[1].stage = "other".into();
        new[0].platforms = vec!["linux/arm64".into()];
        new[1].stage = "renamed".into();
        assert_eq!(align(&new, &old).before, [None, Some(1), Some(0)]);
    }
}
