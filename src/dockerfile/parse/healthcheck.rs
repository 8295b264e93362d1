//! `HEALTHCHECK`.

use std::time::Duration;

use super::{Context, arguments::missing, flags::Flags, go, run};
use crate::{
    dockerfile::{
        split::Parts,
        syntax::{CommandLine, Healthcheck, Timing, Word},
        text::is_blank,
    },
    source::suggest,
};

/// The shortest time that Docker takes (moby `container.MinimumDuration`).
const SHORTEST: Duration = Duration::from_millis(1);

/// `HEALTHCHECK NONE` or `HEALTHCHECK CMD command`.
pub(super) fn healthcheck(
    context: &mut Context<'_>,
    parts: &Parts,
    flags: &Flags<'_>,
) -> Option<Healthcheck> {
    let args = &parts.args;
    let end = args.text.find(is_blank).unwrap_or(args.text.len());
    let kind = args.slice(0..end);
    let command = args.rest(end).trim();
    match kind.text.to_ascii_uppercase().as_str() {
        "" => {
            missing(context, parts, "`CMD command` or `NONE`");
            None
        }
        "NONE" if command.text.is_empty() => Some(Healthcheck::None),
        "NONE" => {
            context.error("HEALTHCHECK NONE takes nothing more", &command.span, "not expected");
            None
        }
        "CMD" => {
            let timing = timing(context, flags);
            let command = run::command(context, &command)?;
            if matches!(&command, CommandLine::Exec(words) if words.is_empty())
                || matches!(&command, CommandLine::Shell(shell) if shell.line.text.is_empty())
            {
                missing(context, parts, "a command after CMD");
            }
            Some(Healthcheck::Command { command, timing })
        }
        _ => {
            let hint = match suggest::closest(&kind.text, ["CMD", "NONE"]) {
                Some(near) => format!("did you mean {near}?"),
                None => "write `HEALTHCHECK CMD command`".to_owned(),
            };
            context.error_with_hint(
                format!("HEALTHCHECK takes CMD or NONE, not {:?}", kind.text),
                &kind.span,
                "",
                hint,
            );
            None
        }
    }
}

fn timing(context: &mut Context<'_>, flags: &Flags<'_>) -> Timing {
    Timing {
        interval: duration(context, flags, "interval"),
        timeout: duration(context, flags, "timeout"),
        start_period: duration(context, flags, "start-period"),
        start_interval: duration(context, flags, "start-interval"),
        retries: flags.value("retries").and_then(|value| retries(context, &value)),
    }
}

fn duration(context: &mut Context<'_>, flags: &Flags<'_>, name: &str) -> Option<Duration> {
    let value = flags.value(name).filter(|value| !value.text.is_empty())?;
    match go::duration(&value.text) {
        Some(duration) if duration.is_zero() => None,
        Some(duration) if duration >= SHORTEST => Some(duration),
        Some(_) => {
            context.error(format!("--{name} cannot be shorter than 1ms"), &value.span, "");
            None
        }
        None => {
            let message = format!("{:?} is no duration", value.text);
            context.error_with_hint(message, &value.span, "", "write it as 30s, 1m30s or 500ms");
            None
        }
    }
}

fn retries(context: &mut Context<'_>, value: &Word) -> Option<u32> {
    let text = value.text.strip_prefix('+').unwrap_or(&value.text);
    match text.parse::<u32>() {
        _ if text.is_empty() => None,
        Ok(retries) if retries <= i32::MAX as u32 && !text.starts_with('+') => Some(retries),
        _ => {
            context.error(
                format!("--retries is a number that is not negative, not {:?}", value.text),
                &value.span,
                "",
            );
            None
        }
    }
}
