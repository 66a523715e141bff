//! Notices: whom they reach, and their texts.

use jiff::Timestamp;
use smol_str::SmolStr;

use crate::company::version::{Assignee, EmployeeIx, Message, Notice, Piece, Recipient, Text, Variable};
use crate::number::Number;
use crate::trace::Reason;

use super::ending::default_notice;
use super::machine::Run;
use super::turn::Effect;

/// Performs a notice and says what became of it. An SMS or e-mail that nobody can receive becomes a task: a notice is
/// never lost for want of an address.
pub(super) fn perform(run: &mut Run<'_>, notice: &Notice) -> Reason {
    match notice {
        Notice::Sms(message) => send(run, message, Channel::Sms),
        Notice::Email(message) => send(run, message, Channel::Email),
        Notice::Task { assign, title } => {
            let title = text(run, title);
            task(run, assignee(run, *assign), title)
        }
    }
}

/// Performs what an early hang-up of the scheme at hand asks for.
pub(super) fn abandoned(run: &mut Run<'_>) {
    if run.state.node == crate::company::version::NodeIx::NOWHERE {
        return;
    }
    let company = run.company;
    let scheme = &company.schemes[run.node().scheme.at()];
    match &scheme.abandoned {
        Some(notices) => {
            for notice in notices {
                perform(run, notice);
            }
        }
        None => {
            let words = if company.language == "ru" { ["Перезвонить: ", ""] } else { ["Call back: ", ""] };
            let title = Text(vec![Piece::Literal(words[0].into()), Piece::Variable(Variable::Caller)]);
            perform(run, &default_notice(title));
        }
    }
}

/// The id of whom the call concerns: the client's owner, else the last employee rung, else the scheme's responsible.
pub(super) fn liable(run: &Run<'_>) -> SmolStr {
    assignee(run, Assignee::Owner)
}

/// The id of somebody who is given work.
pub(super) fn assignee(run: &Run<'_>, assign: Assignee) -> SmolStr {
    let assign = match assign {
        Assignee::Owner => match run.state.owner.or(run.state.last_rung) {
            Some(ix) => Assignee::Employee(ix),
            None => run.company.schemes[run.node().scheme.at()].responsible,
        },
        fixed => fixed,
    };
    match assign {
        Assignee::Employee(ix) => run.company.employees[ix.at()].id.clone(),
        Assignee::Department(ix) => run.company.departments[ix.at()].id.clone(),
        Assignee::Owner => SmolStr::default(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    Sms,
    Email,
}

fn send(run: &mut Run<'_>, message: &Message, channel: Channel) -> Reason {
    let company = run.company;
    let template = &company.templates[message.template.at()];
    let body = text(run, &template.text);
    let Some(to) = address(run, &message.to, channel) else {
        if message.to == Recipient::Caller {
            return Reason::NobodyToSend {};
        }
        let assign = assignee(run, Assignee::Owner);
        return task(run, assign, body);
    };
    let id = run.effect_id();
    let why = Reason::Sent { effect: id.clone(), to: to.clone() };
    let template_id = template.id.clone();
    let effect = match channel {
        Channel::Sms => Effect::Sms { id, to, template: template_id, text: body },
        Channel::Email => {
            let subject = template.subject.as_ref().map(|subject| text(run, subject));
            Effect::Email { id, to, template: template_id, subject, text: body }
        }
    };
    run.effects.push(effect);
    why
}

fn task(run: &mut Run<'_>, assign: SmolStr, title: String) -> Reason {
    let id = run.effect_id();
    run.effects.push(Effect::Task { id: id.clone(), assign: assign.clone(), title });
    Reason::Assigned { effect: id, assign }
}

fn address(run: &Run<'_>, to: &Recipient, channel: Channel) -> Option<SmolStr> {
    match to {
        Recipient::Caller => run.state.caller.filter(|caller| !caller.is_extension()).map(Number::text),
        Recipient::Employee(ix) => address_of(run, *ix, channel),
        Recipient::Phone(number) => Some(number.text()),
        Recipient::Address(address) => Some(address.clone()),
        Recipient::Owner => {
            let responsible = match run.company.schemes[run.node().scheme.at()].responsible {
                Assignee::Employee(ix) => Some(ix),
                _ => None,
            };
            let known = [run.state.owner, run.state.last_rung, responsible];
            known.into_iter().flatten().find_map(|ix| address_of(run, ix, channel))
        }
    }
}

fn address_of(run: &Run<'_>, ix: EmployeeIx, channel: Channel) -> Option<SmolStr> {
    let employee = &run.company.employees[ix.at()];
    match channel {
        Channel::Sms => employee.mobile.map(Number::text),
        Channel::Email => employee.email.clone(),
    }
}

/// Fills a text in.
fn text(run: &Run<'_>, text: &Text) -> String {
    let mut filled = String::new();
    for piece in &text.0 {
        match piece {
            Piece::Literal(literal) => filled.push_str(literal),
            Piece::Variable(variable) => filled.push_str(&value(run, *variable)),
        }
    }
    filled
}

fn value(run: &Run<'_>, variable: Variable) -> String {
    let company = run.company;
    let russian = company.language == "ru";
    let state = &run.state;
    let caller = || match state.caller {
        Some(caller) => caller.to_string(),
        None if russian => "номер скрыт".to_owned(),
        None => "number withheld".to_owned(),
    };
    match variable {
        Variable::Caller | Variable::Client => caller(),
        Variable::Did => state.did.map_or_else(String::new, |did| did.to_string()),
        Variable::Time => civil(run, "%H:%M"),
        Variable::Date => civil(run, if russian { "%d.%m.%Y" } else { "%Y-%m-%d" }),
        Variable::Company => company.name.clone(),
        Variable::Employee => {
            let employee = state.owner.or(state.last_rung);
            employee.map_or_else(String::new, |ix| company.employees[ix.at()].name.to_string())
        }
        Variable::Scheme => company.schemes[run.node().scheme.at()].id.to_string(),
        Variable::Recording => state.recorded.map_or_else(String::new, |_| run.recording().into()),
        Variable::Seconds => state.recorded.map_or_else(String::new, |(seconds, _)| seconds.to_string()),
    }
}

/// The moment at hand in the company's zone; empty beyond the calendar's ends.
fn civil(run: &Run<'_>, format: &str) -> String {
    Timestamp::from_millisecond(run.now_ms)
        .map(|now| now.to_zoned(run.company.zone.clone()).strftime(format).to_string())
        .unwrap_or_default()
}
