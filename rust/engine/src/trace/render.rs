//! Reasons in words, for people.

use crate::call::{LeftOut, RoundNote};
use crate::floor::Standing;

use super::Reason;

/// A language of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Russian.
    Ru,
    /// English.
    En,
}

impl Language {
    /// The language with this ISO 639-1 code; English where we do not speak it.
    #[must_use]
    pub fn of(code: &str) -> Self {
        if code.eq_ignore_ascii_case("ru") { Self::Ru } else { Self::En }
    }
}

/// The reason in one phrase.
#[must_use]
pub fn render(why: &Reason, language: Language) -> String {
    match language {
        Language::Ru => russian(why),
        Language::En => english(why),
    }
}

/// A round in one phrase: who was left out of it and why.
#[must_use]
pub fn render_round(note: &RoundNote, language: Language) -> String {
    let ru = language == Language::Ru;
    let mut words = vec![match (ru, note.passed_over) {
        (true, false) => format!("круг {}", note.round),
        (true, true) => format!("круг {} пропущен: звонить некому", note.round),
        (false, false) => format!("round {}", note.round),
        (false, true) => format!("round {} passed over: nobody to ring", note.round),
    }];
    words.extend(note.left_out.iter().map(|left| {
        let LeftOut { employee, endpoint, why } = left;
        let who = employee.as_deref().or(endpoint.as_deref()).unwrap_or(if ru {
            "ответственный"
        } else {
            "owner"
        });
        format!("{who}: {}", standing(*why, ru))
    }));
    words.join("; ")
}

fn standing(why: Standing, ru: bool) -> &'static str {
    let (russian, english) = match why {
        Standing::Free => ("свободен", "free"),
        Standing::Away => ("пропущен, нет на месте", "skipped, away"),
        Standing::Offline => ("пропущен, не на работе", "skipped, offline"),
        Standing::Unreachable => ("пропущен, телефон недоступен", "skipped, phone unreachable"),
        Standing::OnThePhone => ("пропущен, занят другим разговором", "skipped, on another call"),
        Standing::RungByAnother => ("пропущен, ему звонит другой вызов", "skipped, rung by another call"),
        Standing::WrapUp => ("пропущен, завершает прошлый звонок", "skipped, in wrap-up"),
        Standing::OutOfThisHunt => ("пропущен, уже отклонил или был занят", "skipped, declined or busy in this hunt"),
        Standing::NobodyFound => ("ответственный не найден или без телефона", "no owner found, or without a phone"),
        Standing::SamePhone => ("пропущен, тот же телефон уже звонит", "skipped, the same phone rings already"),
        Standing::Resting => ("пропущен, только что не ответил", "skipped, did not answer a moment ago"),
    };
    if ru { russian } else { english }
}

fn english(why: &Reason) -> String {
    match why {
        Reason::Played { prompt } => format!("`{prompt}` was played"),
        Reason::Open { schedule, date, time, rule, from, to } => {
            format!("`{schedule}` is open on {date} at {time}: {from}–{to}, {}", rule_en(rule))
        }
        Reason::Closed { schedule, date, time, rule, holiday } => {
            let holiday = holiday.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
            format!("`{schedule}` is closed on {date} at {time}: {}{holiday}", rule_en(rule))
        }
        Reason::Listed { list, entry, by, .. } => format!("the caller is on list `{list}`: {entry}, by {by}"),
        Reason::NotListed { lists, .. } => format!("the caller is not on {}", lists.join(", ")),
        Reason::InRegion { region, by } => format!("the caller's region is `{region}`: {by}"),
        Reason::NotInRegions { region: Some(region) } => format!("the caller's region, `{region}`, has no exit here"),
        Reason::NotInRegions { region: None } => "the caller belongs to no region".into(),
        Reason::Withheld {} => "the caller's number is withheld".into(),
        Reason::FirstCall { .. } => "the caller has not called before".into(),
        Reason::CalledBefore { .. } => "the caller has called before".into(),
        Reason::HistoryUnknown {} => "nobody could say whether the caller has called before".into(),
        Reason::OwnerFound { employee, .. } => format!("the client's owner is {employee}"),
        Reason::OwnerUnknown { .. } => "the client has no owner".into(),
        Reason::OwnerNotHere { employee, .. } => format!("the owner, {employee}, is not in this company version"),
        Reason::OwnerSilent {} => "the CRM did not answer in time".into(),
        Reason::Pressed { digits } => format!("the caller pressed {digits}"),
        Reason::WrongDigits { digits, attempts } => format!("wrong digits, last {digits}, after {attempts} attempts"),
        Reason::Silence { attempts } => format!("nothing pressed, after {attempts} attempts"),
        Reason::NobodyAnswered { rounds } => format!("nobody answered; rounds: {rounds}"),
        Reason::AllBusy { rounds } => format!("everybody was busy; rounds: {rounds}"),
        Reason::NobodyAvailable { rounds } => format!("nobody could be rung; rounds: {rounds}"),
        Reason::WaitedTooLong { seconds } => format!("waited {seconds} s, and nobody answered"),
        Reason::QueueFull { callers } => format!("the queue is full: {callers} wait already"),
        Reason::NobodyAtWork {} => "nobody of the queue is at work".into(),
        Reason::Again { pass, of } => format!("pass {pass} of {of}"),
        Reason::Enough { passes } => format!("after {passes} passes"),
        Reason::Sent { to, .. } => format!("a notice to {to}"),
        Reason::NobodyToSend {} => "not sent: the caller's number is withheld or internal".into(),
        Reason::Assigned { assign, .. } => format!("a task for {assign}"),
        Reason::Recorded { seconds, .. } => format!("a message of {seconds} s"),
        Reason::TooShort { .. } => "no message: shorter than a second".into(),
        Reason::Chance { weight, of } => format!("chosen by the call id: {weight} of {of}"),
        Reason::Tagged { .. } => "tagged".into(),
        Reason::TransferFailed { to } => format!("the transfer to {to} failed"),
        Reason::Jumped { scheme } => format!("on to scheme `{scheme}`"),
    }
}

fn rule_en(rule: &str) -> &str {
    match rule {
        "weekly" => "weekly hours",
        "exception" => "the date's own hours",
        "moved_workday" => "a workday moved to this date",
        "holiday" => "a public holiday",
        "outside_hours" => "outside the hours",
        other => other,
    }
}

fn russian(why: &Reason) -> String {
    match why {
        Reason::Played { prompt } => format!("проиграно «{prompt}»"),
        Reason::Open { schedule, date, time, rule, from, to } => {
            format!("«{schedule}»: {date} в {time} открыто, {from}–{to}, {}", rule_ru(rule))
        }
        Reason::Closed { schedule, date, time, rule, holiday } => {
            let holiday = holiday.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
            format!("«{schedule}»: {date} в {time} закрыто, {}{holiday}", rule_ru(rule))
        }
        Reason::Listed { list, entry, by, .. } => {
            let by = match by.as_str() {
                "number" => "номер",
                "prefix" => "префикс",
                _ => "изменение списка",
            };
            format!("звонящий в списке «{list}»: {by} {entry}")
        }
        Reason::NotListed { lists, .. } => format!("звонящего нет в списках: {}", lists.join(", ")),
        Reason::InRegion { region, by } => format!("регион звонящего — «{region}»: {by}"),
        Reason::NotInRegions { region: Some(region) } => format!("для региона звонящего, «{region}», выхода нет"),
        Reason::NotInRegions { region: None } => "регион звонящего не определён".into(),
        Reason::Withheld {} => "номер звонящего скрыт".into(),
        Reason::FirstCall { .. } => "звонит впервые".into(),
        Reason::CalledBefore { .. } => "уже звонил".into(),
        Reason::HistoryUnknown {} => "никто не смог сказать, звонил ли он раньше".into(),
        Reason::OwnerFound { employee, .. } => format!("ответственный — {employee}"),
        Reason::OwnerUnknown { .. } => "ответственного нет".into(),
        Reason::OwnerNotHere { employee, .. } => format!("ответственного {employee} нет в этой версии компании"),
        Reason::OwnerSilent {} => "CRM не ответила вовремя".into(),
        Reason::Pressed { digits } => format!("нажато {digits}"),
        Reason::WrongDigits { digits, attempts } => format!("неверный ввод, последний {digits}, попыток: {attempts}"),
        Reason::Silence { attempts } => format!("ничего не нажато, попыток: {attempts}"),
        Reason::NobodyAnswered { rounds } => format!("никто не ответил, кругов: {rounds}"),
        Reason::AllBusy { rounds } => format!("все заняты, кругов: {rounds}"),
        Reason::NobodyAvailable { rounds } => format!("звонить некому, кругов: {rounds}"),
        Reason::WaitedTooLong { seconds } => format!("ожидание {seconds} с, никто не ответил"),
        Reason::QueueFull { callers } => format!("очередь полна, ждут: {callers}"),
        Reason::NobodyAtWork {} => "из очереди никого нет на работе".into(),
        Reason::Again { pass, of } => format!("проход {pass} из {of}"),
        Reason::Enough { passes } => format!("проходов сделано: {passes}"),
        Reason::Sent { to, .. } => format!("уведомление: {to}"),
        Reason::NobodyToSend {} => "не отправлено: номер звонящего скрыт или внутренний".into(),
        Reason::Assigned { assign, .. } => format!("задача: {assign}"),
        Reason::Recorded { seconds, .. } => format!("сообщение, {seconds} с"),
        Reason::TooShort { .. } => "сообщения нет: короче секунды".into(),
        Reason::Chance { weight, of } => format!("выбор по номеру звонка: {weight} из {of}"),
        Reason::Tagged { .. } => "метка".into(),
        Reason::TransferFailed { to } => format!("перевод на {to} не удался"),
        Reason::Jumped { scheme } => format!("далее — схема «{scheme}»"),
    }
}

fn rule_ru(rule: &str) -> &str {
    match rule {
        "weekly" => "по недельному расписанию",
        "exception" => "по расписанию этой даты",
        "moved_workday" => "перенесённый рабочий день",
        "holiday" => "праздничный день",
        "outside_hours" => "вне рабочих часов",
        other => other,
    }
}
