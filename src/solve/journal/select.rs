//! The steps that a user means.

use super::StepRecord;

/// The steps that `asked` names: `NUMBER` in the last stage, `STAGE:NUMBER`, a stage's name, or a part of the step's text.
pub(super) fn select(steps: &[StepRecord], asked: &str) -> Vec<usize> {
    let these = |fits: &dyn Fn(&StepRecord) -> bool| -> Vec<usize> {
        steps.iter().enumerate().filter(|(_, step)| fits(step)).map(|(at, _)| at).collect()
    };
    if let (Ok(number), Some(last)) = (asked.parse::<usize>(), steps.last()) {
        return these(&|step| step.stage == last.stage && step.number == number);
    }
    let named = these(&|step| step.place() == asked || step.stage == asked);
    if !named.is_empty() {
        return named;
    }
    let asked = asked.to_lowercase();
    these(&|step| step.name.to_lowercase().contains(&asked))
}
