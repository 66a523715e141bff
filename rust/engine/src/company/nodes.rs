//! Nodes: their parameters read, their exits wired.

use crate::number::{Country, Number};

use super::compile::{milliseconds, number, text};
use super::document as doc;
use super::hunts;
use super::names::{Names, Place};
use super::version::{
    Assignee, CounterIx, Destination, Employee, Exit, Menu, Message, Node, NodeIx, Notice, PromptIx, Queue, Recipient,
    SchemeIx, Step, TemplateIx,
};

/// The most that a scheme's tags may weigh: keys and values together, bytes of UTF-8.
pub const MAX_TAG_BYTES: usize = 64;

/// What the nodes of one scheme are compiled in.
pub struct Frame<'d> {
    /// Scheme id.
    pub id: &'d str,
    /// The scheme as written.
    pub scheme: &'d doc::Scheme,
    /// Country of national numbers.
    pub country: Country,
    /// Everybody.
    pub employees: &'d [Employee],
    /// First node of each scheme.
    pub starts: &'d [NodeIx],
    /// Place of this scheme's first node among all nodes.
    pub begin: u16,
}

/// One node being compiled: where it stands, and where its faults go.
pub struct Site<'a, 'd> {
    /// Ids and findings.
    pub names: &'a mut Names<'d>,
    /// Its scheme.
    pub frame: &'a Frame<'a>,
    node_id: &'a str,
    node: &'a doc::Node,
}

impl Site<'_, '_> {
    /// Records an error at a key of the node.
    pub fn error(&mut self, code: &'static str, below: Place<'_>, message: String) {
        let at = self.place(below);
        self.names.error(code, &at.iter().map(String::as_str).collect::<Vec<_>>(), message);
    }

    fn place(&self, below: Place<'_>) -> Vec<String> {
        ["schemes", self.frame.id, "nodes", self.node_id].iter().chain(below).map(|&key| key.to_owned()).collect()
    }

    /// Looks something up, blaming a key of the node.
    pub fn look<T>(
        &mut self,
        below: Place<'_>,
        find: impl FnOnce(&mut Names<'_>, Place<'_>) -> Option<T>,
    ) -> Option<T> {
        let at = self.place(below);
        find(self.names, &at.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The node's kind as written.
    pub fn kind(&self) -> &doc::Kind {
        &self.node.kind
    }

    fn prompt(&mut self, id: &str, key: &str) -> PromptIx {
        self.look(&[key], |names, at| names.prompt(id, at)).unwrap_or(PromptIx(0))
    }

    /// Wires the exits a node of this kind can take, in the order given; `like` names the exit that an absent one follows.
    fn wire(&mut self, wanted: &[(&str, Option<&str>)]) -> Vec<Exit> {
        for name in self.node.exits.keys() {
            if !wanted.iter().any(|(known, _)| known == name) {
                let known = wanted.iter().map(|&(name, _)| name).collect::<Vec<_>>().join("`, `");
                let has = if known.is_empty() { "has no exits".to_owned() } else { format!("has only `{known}`") };
                self.error("unexpected_exit", &["exits", name], format!("no exit `{name}` here: the node {has}"));
            }
        }
        let mut exits = Vec::with_capacity(wanted.len());
        for &(name, like) in wanted {
            let written = self.node.exits.get(name).map(|to| (name, to));
            let written = written.or_else(|| like.and_then(|like| self.node.exits.get(like).map(|to| (like, to))));
            let to = match written {
                Some((key, to)) => match self.frame.scheme.nodes.get_index_of(to) {
                    Some(ix) => NodeIx(self.frame.begin + ix as u16),
                    None => {
                        if key == name {
                            let message = format!("exit `{name}` leads to `{to}`, which is no node of this scheme");
                            self.error("unknown_reference", &["exits", name], message);
                        }
                        NodeIx::NOWHERE
                    }
                },
                None => {
                    if like.is_none() {
                        self.error(
                            "missing_exit",
                            &["exits"],
                            format!("exit `{name}` leads nowhere: a call would be lost"),
                        );
                    }
                    NodeIx::NOWHERE
                }
            };
            exits.push(Exit { name: name.into(), to });
        }
        exits
    }

    fn positive(&mut self, key: &str, seconds: f64) -> u64 {
        if !(seconds.is_finite() && seconds > 0.0 && seconds <= 86_400.0) {
            self.error("out_of_range", &[key], format!("`{key}` must be more than 0 and at most 86400 seconds"));
        }
        milliseconds(seconds)
    }
}

/// Compiles one node. `counter` is the one it takes if it is a `repeat`; `scheme` is its scheme's place.
pub fn compile<'d>(
    names: &mut Names<'d>,
    frame: &Frame<'_>,
    node_id: &str,
    node: &doc::Node,
    counter: CounterIx,
    scheme: usize,
) -> Node {
    let mut site = Site { names, frame, node_id, node };
    let (step, exits) = step(&mut site, counter);
    if node.allow_lost.is_some() && !matches!(step, Step::Play { .. } | Step::Hangup { .. } | Step::Hole) {
        site.error(
            "unexpected_allow_lost",
            &["allow_lost"],
            "only an announcement (`play`, `hangup`) may allow a loss".into(),
        );
    }
    Node { id: node_id.into(), scheme: SchemeIx(scheme as u16), step, exits, allow_lost: node.allow_lost.is_some() }
}

fn step(site: &mut Site<'_, '_>, counter: CounterIx) -> (Step, Vec<Exit>) {
    const DONE: &[(&str, Option<&str>)] = &[("done", None)];
    match &site.node.kind {
        doc::Kind::Play { prompt } => (Step::Play { prompt: site.prompt(prompt, "prompt") }, site.wire(DONE)),
        doc::Kind::Schedule { schedule } => {
            let found = site.look(&["schedule"], |names, at| names.schedule(schedule, at));
            let exits = site.wire(&[("open", None), ("closed", None)]);
            (found.map_or(Step::Hole, |schedule| Step::Schedule { schedule }), exits)
        }
        doc::Kind::List { list } => {
            let lists = list.iter().filter_map(|id| site.look(&["list"], |names, at| names.list(id, at))).collect();
            if list.is_empty() {
                site.error("missing_key", &["list"], "`list` names no list".into());
            }
            (Step::List { lists }, site.wire(&[("match", None), ("else", None)]))
        }
        doc::Kind::Region { regions } => {
            let found =
                regions.iter().filter_map(|id| site.look(&["regions"], |names, at| names.region(id, at))).collect();
            let wanted: Vec<_> = regions.iter().map(|id| (id.as_str(), None)).chain([("else", None)]).collect();
            if regions.iter().any(|id| id == "else") {
                site.error(
                    "ambiguous_id",
                    &["regions"],
                    "a region called `else` cannot have an exit of its own".into(),
                );
            }
            (Step::Region { regions: found }, site.wire(&wanted))
        }
        doc::Kind::History { days, timeout_ms } => {
            (Step::History { days: *days, timeout_ms: *timeout_ms }, site.wire(&[("first", None), ("repeat", None)]))
        }
        doc::Kind::Owner { timeout_ms } => (
            Step::Owner { timeout_ms: *timeout_ms },
            site.wire(&[("found", None), ("unknown", None), ("unavailable", None)]),
        ),
        doc::Kind::Menu { .. } => menu(site),
        doc::Kind::Ring { .. } => {
            let hunt = hunts::compile(site);
            let exits =
                site.wire(&[("no_answer", None), ("busy", Some("no_answer")), ("unavailable", Some("no_answer"))]);
            (hunt.map_or(Step::Hole, Step::Ring), exits)
        }
        doc::Kind::Repeat { times } => {
            if *times == 0 {
                site.error("out_of_range", &["times"], "`times` must be at least 1".into());
            }
            (Step::Repeat { times: *times, counter }, site.wire(&[("again", None), ("done", None)]))
        }
        doc::Kind::Sms { message } => {
            let notice = message_of(site, message, Channel::Sms, &[]).map(Notice::Sms);
            (notice.map_or(Step::Hole, Step::Notice), site.wire(DONE))
        }
        doc::Kind::Email { message } => {
            let notice = message_of(site, message, Channel::Email, &[]).map(Notice::Email);
            (notice.map_or(Step::Hole, Step::Notice), site.wire(DONE))
        }
        doc::Kind::Task { task } => {
            let notice = task_of(site, task, &[]);
            (notice.map_or(Step::Hole, Step::Notice), site.wire(DONE))
        }
        doc::Kind::Voicemail { prompt, seconds, email, assign } => {
            let ms = site.positive("seconds", *seconds);
            let prompt = site.prompt(prompt, "prompt");
            let assign =
                assign.as_deref().and_then(|id| site.look(&["assign"], |names, at| names.assignee(id, true, at)));
            for address in email {
                check_address(site, address, &["email"]);
            }
            let email = email.iter().map(|address| address.as_str().into()).collect();
            (Step::Voicemail { prompt, ms, email, assign }, site.wire(DONE))
        }
        doc::Kind::Split { weights } => split(site, weights),
        doc::Kind::Tag { set } => {
            let set = set.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
            (Step::Tag { set }, site.wire(DONE))
        }
        doc::Kind::Transfer { to, seconds } => {
            let ms = site.positive("seconds", *seconds);
            let to = destination(to, site.frame.country);
            (Step::Transfer { to, ms }, site.wire(&[("failed", None)]))
        }
        doc::Kind::Scheme { scheme } => {
            site.wire(&[]);
            let to = site
                .look(&["scheme"], |names, at| names.scheme(scheme, at))
                .map_or(NodeIx::NOWHERE, |ix| site.frame.starts[ix.at()]);
            (Step::Jump, vec![Exit { name: "".into(), to }])
        }
        doc::Kind::Hangup { prompt, cause } => {
            let prompt = prompt.as_deref().map(|id| site.prompt(id, "prompt"));
            (Step::Hangup { prompt, cause: *cause }, site.wire(&[]))
        }
        doc::Kind::Queue { .. } => {
            let queue = queue(site);
            let exits = site.wire(&[("timeout", None), ("full", Some("timeout")), ("nobody", Some("timeout"))]);
            (queue.map_or(Step::Hole, Step::Queue), exits)
        }
        doc::Kind::Webhook {} => not_yet(site, "webhook"),
        doc::Kind::Broken {} => (Step::Hole, Vec::new()),
    }
}

fn not_yet(site: &mut Site<'_, '_>, kind: &str) -> (Step, Vec<Exit>) {
    site.error("not_yet", &["kind"], format!("nodes of kind `{kind}` cannot be run by this release"));
    (Step::Hole, Vec::new())
}

/// The shortest time between two announcements, seconds.
const ANNOUNCE_S: f64 = 1.0;

fn queue(site: &mut Site<'_, '_>) -> Option<Queue> {
    let doc::Kind::Queue { seconds, max_wait, max_length, pause, announce, announce_every, .. } = &site.node.kind
    else {
        return None;
    };
    let hunt = hunts::compile(site);
    let max_wait_ms = site.positive("max_wait", *max_wait);
    if *seconds > *max_wait && *max_wait > 0.0 {
        let message = format!("an attempt of {seconds} s is cut: nobody waits for more than {max_wait} s (`max_wait`)");
        let at = site.place(&["seconds"]);
        site.names.warning("attempt_cut", &at.iter().map(String::as_str).collect::<Vec<_>>(), message);
    }
    if *max_length == 0 {
        site.error("out_of_range", &["max_length"], "`max_length` must be at least 1".into());
    }
    let announce = announce.iter().flat_map(doc::Announce::prompts).map(|id| site.prompt(id, "announce"));
    let announce: Vec<_> = announce.collect();
    if !announce.is_empty() && *announce_every < ANNOUNCE_S {
        let message = format!("`announce_every` must be at least {ANNOUNCE_S} s");
        site.error("out_of_range", &["announce_every"], message);
    }
    Some(Queue {
        hunt: hunt?,
        max_wait_ms,
        max_length: *max_length,
        pause_ms: site.positive("pause", *pause),
        announce,
        announce_every_ms: site.positive("announce_every", *announce_every),
    })
}

fn menu(site: &mut Site<'_, '_>) -> (Step, Vec<Exit>) {
    let doc::Kind::Menu { prompt, options, seconds, attempts, invalid_prompt, silence_prompt } = &site.node.kind else {
        return (Step::Hole, Vec::new());
    };
    let mut wanted: Vec<(&str, Option<&str>)> = Vec::new();
    let mut places = Vec::with_capacity(options.len());
    for (digits, exit) in options {
        let sound = (1..=16).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit() || "*#".contains(c));
        if !sound {
            site.error("bad_menu_option", &["options", digits], format!("`{digits}` is not 1 to 16 of 0–9, * and #"));
        }
        if matches!(exit.as_str(), "no_input" | "invalid") {
            site.error("bad_menu_option", &["options", digits], format!("`{exit}` is the menu's own exit"));
        }
        let place = wanted.iter().position(|&(name, _)| name == exit).unwrap_or_else(|| {
            wanted.push((exit, None));
            wanted.len() - 1
        });
        places.push((digits.as_str().into(), place));
    }
    if options.is_empty() {
        site.error("missing_key", &["options"], "a menu without options offers nothing".into());
    }
    if *attempts == 0 {
        site.error("out_of_range", &["attempts"], "`attempts` must be at least 1".into());
    }
    wanted.extend([("no_input", None), ("invalid", None)]);
    let menu = Menu {
        prompt: site.prompt(prompt, "prompt"),
        options: places,
        ms: site.positive("seconds", *seconds),
        attempts: *attempts,
        invalid_prompt: invalid_prompt.as_deref().map(|id| site.prompt(id, "invalid_prompt")),
        silence_prompt: silence_prompt.as_deref().map(|id| site.prompt(id, "silence_prompt")),
    };
    (Step::Menu(menu), site.wire(&wanted))
}

fn split(site: &mut Site<'_, '_>, weights: &doc::Ids<u32>) -> (Step, Vec<Exit>) {
    let mut total = 0;
    let upto: Vec<u64> = weights
        .values()
        .map(|&weight| {
            total += u64::from(weight);
            total
        })
        .collect();
    if weights.is_empty() || weights.values().any(|&weight| weight == 0) {
        site.error("bad_weights", &["weights"], "every weight must be at least 1, and there must be one".into());
    }
    let wanted: Vec<_> = weights.keys().map(|name| (name.as_str(), None)).collect();
    (Step::Split { upto }, site.wire(&wanted))
}

fn destination(written: &str, country: Country) -> Destination {
    // An address of the PBX has a technology before its slash; whatever reads as a number is one.
    match Number::parse(written, country) {
        Some(number) if !written.contains('/') => Destination::Phone(number),
        _ => Destination::Endpoint(written.into()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    Sms,
    Email,
}

fn message_of(site: &mut Site<'_, '_>, message: &doc::Message, channel: Channel, below: Place<'_>) -> Option<Message> {
    let key = |last: &'static str| below.iter().copied().chain([last]).collect::<Vec<_>>();
    let to = recipient(site, &message.to, channel, &key("to"));
    let template = site.look(&key("template"), |names, at| names.template(&message.template, at));
    Some(Message { to: to?, template: template.unwrap_or(TemplateIx(0)) })
}

fn recipient(site: &mut Site<'_, '_>, to: &doc::Recipient, channel: Channel, at: Place<'_>) -> Option<Recipient> {
    match to {
        doc::Recipient::Caller if channel == Channel::Email => {
            site.error("bad_recipient", at, "a caller has a number, not an e-mail address".into());
            None
        }
        doc::Recipient::Caller => Some(Recipient::Caller),
        doc::Recipient::Owner => Some(Recipient::Owner),
        doc::Recipient::Employee(id) => {
            let ix = site.look(at, |names, at| names.employee(id, at))?;
            let employee = &site.frame.employees[ix.at()];
            if site.names.document.employees[ix.at()].broken {
                return Some(Recipient::Employee(ix));
            }
            if channel == Channel::Sms && employee.mobile.is_none() {
                site.error("no_mobile", at, format!("employee `{id}` has no mobile to send an SMS to"));
            }
            if channel == Channel::Email && employee.email.is_none() {
                site.error("no_email", at, format!("employee `{id}` has no e-mail address"));
            }
            Some(Recipient::Employee(ix))
        }
        doc::Recipient::Phone(_) if channel == Channel::Email => {
            site.error("bad_recipient", at, "an e-mail cannot be sent to a telephone number".into());
            None
        }
        doc::Recipient::Phone(written) => {
            let country = site.frame.country;
            site.look(at, |names, at| number(names, country, written, at)).map(Recipient::Phone)
        }
        doc::Recipient::Address(_) if channel == Channel::Sms => {
            site.error("bad_recipient", at, "an SMS goes to `caller`, `owner`, an employee or a phone".into());
            None
        }
        doc::Recipient::Address(address) => {
            check_address(site, address, at);
            Some(Recipient::Address(address.as_str().into()))
        }
    }
}

/// Refuses what cannot be an address; whether it exists only its server knows.
fn check_address(site: &mut Site<'_, '_>, address: &str, at: Place<'_>) {
    let sound = address.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty()
            && !host.is_empty()
            && !host.contains('@')
            && !address.chars().any(|c| c.is_whitespace() || c.is_control())
    });
    if !sound {
        site.error("bad_address", at, format!("`{address}` is not an e-mail address"));
    }
}

fn task_of(site: &mut Site<'_, '_>, task: &doc::Task, below: Place<'_>) -> Option<Notice> {
    let key = |last: &'static str| below.iter().copied().chain([last]).collect::<Vec<_>>();
    let assign = site.look(&key("assign"), |names, at| names.assignee(&task.assign, true, at));
    let title = site.look(&key("title"), |names, at| Some(text(names, &task.title, at))).unwrap_or_default();
    Some(Notice::Task { assign: assign?, title })
}

/// Compiles a scheme's notices of an early hang-up. Their faults are blamed on the scheme.
pub fn abandoned(names: &mut Names<'_>, frame: &Frame<'_>) -> Option<Vec<Notice>> {
    let written = frame.scheme.abandoned.as_ref()?;
    let hole = doc::Node { kind: doc::Kind::Broken {}, exits: doc::Exits::new(), allow_lost: None };
    let before = names.findings.len();
    let mut site = Site { names, frame, node_id: "", node: &hole };
    let mut all = Vec::with_capacity(written.len());
    for (ix, notice) in written.iter().enumerate() {
        let ix = ix.to_string();
        all.extend(match notice {
            doc::Notice::Sms(message) => message_of(&mut site, message, Channel::Sms, &[&ix, "sms"]).map(Notice::Sms),
            doc::Notice::Email(message) => {
                message_of(&mut site, message, Channel::Email, &[&ix, "email"]).map(Notice::Email)
            }
            doc::Notice::Task(task) => task_of(&mut site, task, &[&ix, "task"]),
        });
    }
    for finding in &mut names.findings[before..] {
        finding.node = None;
        finding.at.splice(2..4, ["abandoned".to_owned()]);
    }
    Some(all)
}

impl Assignee {
    /// True for a fixed person or department.
    #[must_use]
    pub fn is_fixed(self) -> bool {
        self != Self::Owner
    }
}

impl Menu {
    /// The longest the menu can hold a call, milliseconds: each attempt its notice, its prompt and its silence.
    #[must_use]
    pub fn longest_ms(&self, prompt_ms: impl Fn(PromptIx) -> u64) -> u64 {
        let notice =
            [self.invalid_prompt, self.silence_prompt].into_iter().flatten().map(&prompt_ms).max().unwrap_or(0);
        let attempts = u64::from(self.attempts);
        attempts * (prompt_ms(self.prompt) + self.ms) + attempts.saturating_sub(1) * notice
    }
}
