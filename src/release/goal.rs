//! What is wanted of a repository.

use crate::{
    oci::{Reference, Repository},
    tags::{Movement, PlannedTag, TagPlan},
};

/// The tags that an image is to have in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// The repository.
    pub repository: Repository,
    /// The tags, in the order in which they are moved: the most specific first, `latest` last. Whoever sees a general tag
    /// finds the specific ones of the same version.
    pub tags: Vec<PlannedTag>,
}

impl Goal {
    /// A goal, its tags put in order.
    pub fn new(repository: Repository, mut tags: Vec<PlannedTag>) -> Self {
        tags.sort_by_key(rank);
        Self { repository, tags }
    }

    /// The goals that names come to, of which nothing else is known: their tags may be moved.
    pub fn of_names(names: &[Reference]) -> Vec<Self> {
        Self::of_plan(names, &TagPlan::default(), &[])
    }

    /// The goals that names come to, some of which are those of a plan in these repositories: the plan says when they may
    /// be moved.
    pub fn of_plan(names: &[Reference], plan: &TagPlan, of: &[Repository]) -> Vec<Self> {
        let mut repositories: Vec<&Repository> = names.iter().map(|name| &name.repository).collect();
        let mut seen = std::collections::BTreeSet::new();
        repositories.retain(|repository| seen.insert(*repository));
        let goal = |repository: &Repository| {
            let mut tags: Vec<PlannedTag> = Vec::new();
            for tag in names.iter().filter(|name| name.repository == *repository) {
                let tag = tag.tag_or_latest().unwrap_or("latest").to_owned();
                if tags.iter().all(|known| known.tag != tag) {
                    let planned = plan.tags.iter().find(|planned| planned.tag == tag);
                    let planned = planned.filter(|_| of.contains(repository)).cloned();
                    tags.push(planned.unwrap_or(PlannedTag { tag, movement: Movement::Free }));
                }
            }
            Self::new(repository.clone(), tags)
        };
        repositories.into_iter().map(goal).collect()
    }

    /// The references of its tags.
    pub fn names(&self) -> impl Iterator<Item = Reference> {
        self.tags.iter().map(|tag| self.repository.tagged(&tag.tag))
    }
}

/// Smaller is more specific.
fn rank(planned: &PlannedTag) -> (u8, usize) {
    match &planned.movement {
        _ if planned.tag == "latest" => (3, 0),
        Movement::Fixed => (0, 0),
        Movement::Free => (1, 0),
        Movement::Line(line) => (2, usize::MAX - line.shared.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags::Line;

    #[test]
    fn the_most_specific_tag_goes_first() {
        let line = |tag: &str, shared: &[u64]| PlannedTag {
            tag: tag.into(),
            movement: Movement::Line(Line::new(semver::Version::new(1, 4, 2), "", shared.to_vec())),
        };
        let plain = |tag: &str, movement| PlannedTag { tag: tag.into(), movement };
        let tags = vec![
            line("latest", &[]),
            line("1", &[1]),
            plain("main", Movement::Free),
            line("1.4", &[1, 4]),
            plain("1.4.2", Movement::Fixed),
        ];
        let goal = Goal::new("example.com/a".parse().unwrap(), tags);
        let order: Vec<_> = goal.tags.iter().map(|tag| tag.tag.as_str()).collect();
        assert_eq!(order, ["1.4.2", "main", "1.4", "1", "latest"]);
    }

    #[test]
    fn names_are_grouped_by_repository() {
        let names = ["a.io/x:latest", "b.io/y:1", "a.io/x:1", "a.io/x:1"].map(|name| name.parse().unwrap());
        let goals = Goal::of_names(&names);
        let all: Vec<_> = goals.iter().flat_map(Goal::names).map(|name| name.to_string()).collect();
        assert_eq!(all, ["a.io/x:1", "a.io/x:latest", "b.io/y:1"]);
        let planned = PlannedTag { tag: "1".into(), movement: Movement::Fixed };
        let plan = TagPlan { tags: vec![planned.clone()], ..TagPlan::default() };
        let goals = Goal::of_plan(&names, &plan, &["a.io/x".parse().unwrap()]);
        assert_eq!(goals[0].tags[0], planned);
        assert_eq!(goals[1].tags[0].movement, Movement::Free);
    }
}
