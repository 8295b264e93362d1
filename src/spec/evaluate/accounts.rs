//! Users and groups.

use super::{
    scope::{Expanded, Inside},
    stage::Said,
    values,
};
use crate::{
    recipe::{Account, AccountGroup, Group, StepKind},
    source::Diagnostic,
    spec::raw::{self, Or, Text},
};

pub(super) fn user(inside: &Inside<'_>, step: &raw::UserStep) -> Result<(Said, StepKind), Diagnostic> {
    let (text, account) = match &step.user {
        Or::Short(name) => (name, Account::named(account_name(inside, name)?)),
        Or::Long(fields) => {
            let some = |text: &Option<Text>| match text {
                Some(text) => field(inside, text).map(Some),
                None => Ok(None),
            };
            let groups = match &fields.groups {
                Some(groups) => {
                    groups.0.iter().map(|name| account_name(inside, name)).collect::<Result<_, _>>()?
                }
                None => Vec::new(),
            };
            let home = match &fields.home {
                Some(home) => Some(values::absolute(&inside.scope, &inside.text(home)?, "a home directory")?),
                None => None,
            };
            let account = Account {
                uid: number(inside, fields.uid.as_ref())?,
                group: fields.group.as_ref().map(|text| primary_group(inside, text)).transpose()?,
                groups,
                system: fields.system.unwrap_or(false),
                home,
                create_home: fields.create_home.unwrap_or(false),
                shell: some(&fields.shell)?,
                comment: some(&fields.comment)?,
                ..Account::named(account_name(inside, &fields.name)?)
            };
            (&fields.name, account)
        }
    };
    Ok((
        Said { words: format!("user {}", account.name), span: text.span.clone() },
        StepKind::Account(account),
    ))
}

pub(super) fn group(inside: &Inside<'_>, step: &raw::GroupStep) -> Result<(Said, StepKind), Diagnostic> {
    let (text, group) = match &step.group {
        Or::Short(name) => (name, Group { name: account_name(inside, name)?, gid: None, system: false }),
        Or::Long(fields) => (
            &fields.name,
            Group {
                name: account_name(inside, &fields.name)?,
                gid: number(inside, fields.gid.as_ref())?,
                system: fields.system.unwrap_or(false),
            },
        ),
    };
    Ok((Said { words: format!("group {}", group.name), span: text.span.clone() }, StepKind::Group(group)))
}

fn number(inside: &Inside<'_>, text: Option<&raw::Choice<Text>>) -> Result<Option<u32>, Diagnostic> {
    inside.option(text)?.map(|text| values::number(&inside.scope, &text)).transpose()
}

fn primary_group(inside: &Inside<'_>, text: &Text) -> Result<AccountGroup, Diagnostic> {
    let expanded = inside.text(text)?;
    if !expanded.text.is_empty() && expanded.text.bytes().all(|b| b.is_ascii_digit()) {
        return values::number(&inside.scope, &expanded).map(AccountGroup::Id);
    }
    account_name(inside, text).map(AccountGroup::Name)
}

fn account_name(inside: &Inside<'_>, text: &Text) -> Result<String, Diagnostic> {
    let Expanded { text: name, span, .. } = inside.text(text)?;
    let number = name.bytes().all(|b| b.is_ascii_digit());
    if number || !values::is_account_name(&name) {
        let diagnostic = inside.scope.error(&span, format!("{name:?} is not a name for an account"), "");
        return Err(if number {
            diagnostic.hint(format!("write {{name: app, uid: {name}}} for a user with this number"))
        } else {
            diagnostic.hint("a name has 1 to 32 visible ASCII characters without `:`, `,` and `/`")
        });
    }
    Ok(name)
}

/// A field of a line of the account files.
fn field(inside: &Inside<'_>, text: &Text) -> Result<String, Diagnostic> {
    let expanded = inside.text(text)?;
    if expanded.text.contains([':', '\n', '\r']) {
        return Err(inside.scope.error(
            &expanded.span,
            "fields of /etc/passwd hold no colons and no line breaks",
            "",
        ));
    }
    Ok(expanded.text)
}
