//! One compiled company version: what the document says, with every reference resolved to an index.
//!
//! Immutable once made. Nodes of all schemes stand in one array, so that a jump to another scheme is an exit like any
//! other and a place in the company is one number.

mod hunting;

pub use hunting::{Hunt, Leg, MAX_LEGS, Queue, Round};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::directory::{Lists, Regions};
use crate::number::{Country, Number};
use crate::schedule::Schedule;

use super::document::{Cause, Document};

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident($int:ty)),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// The place in its array.
            #[must_use]
            pub fn at(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index! {
    /// An employee of one version.
    EmployeeIx(u32),
    /// A department of one version.
    DepartmentIx(u32),
    /// A schedule of one version.
    ScheduleIx(u32),
    /// A list of one version.
    ListIx(u32),
    /// A region of one version.
    RegionIx(u32),
    /// A prompt of one version.
    PromptIx(u32),
    /// A template of one version.
    TemplateIx(u32),
    /// A scheme of one version.
    SchemeIx(u16),
    /// A node of one version, whatever its scheme.
    NodeIx(u16),
    /// A `repeat` node's counter.
    CounterIx(u16),
}

impl NodeIx {
    /// Where a faulty exit leads. A version with such an exit is never run.
    pub const NOWHERE: Self = Self(u16::MAX);
}

/// The identity of a company version: a hash of its document, equal on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(pub u64);

/// A compiled company version.
#[derive(Debug)]
pub struct Company {
    /// Its identity.
    pub id: VersionId,
    /// Display name.
    pub name: String,
    /// IANA zone of the company.
    pub zone: jiff::tz::TimeZone,
    /// Country by which national numbers are read.
    pub country: Country,
    /// Language of texts made for people: `ru` or `en`.
    pub language: String,
    /// Everybody, in document order.
    pub employees: Vec<Employee>,
    /// Departments, in document order.
    pub departments: Vec<Named>,
    /// Schedules.
    pub schedules: Vec<(SmolStr, Schedule)>,
    /// Names of lists.
    pub list_ids: Vec<SmolStr>,
    /// Contents of lists, by `ListIx`.
    pub lists: Lists,
    /// Names of regions.
    pub region_ids: Vec<SmolStr>,
    /// Regions of numbers, by `RegionIx`.
    pub regions: Regions,
    /// Prompts.
    pub prompts: Vec<Prompt>,
    /// Templates.
    pub templates: Vec<Template>,
    /// Dialled numbers and the schemes that serve them.
    pub numbers: FxHashMap<Number, SchemeIx>,
    /// The same of a company that has one number, as most have.
    pub only_number: Option<(Number, SchemeIx)>,
    /// The scheme of a number not listed.
    pub default_scheme: Option<SchemeIx>,
    /// Schemes.
    pub schemes: Vec<Scheme>,
    /// The nodes of all schemes.
    pub nodes: Vec<Node>,
    /// How many `repeat` counters there are.
    pub counters: u16,
    /// Employees by id.
    pub employee_index: FxHashMap<SmolStr, EmployeeIx>,
}

/// Something with an id and a display name.
#[derive(Clone, Debug)]
pub struct Named {
    /// Id in the document.
    pub id: SmolStr,
    /// Display name.
    pub name: SmolStr,
}

/// A person who can be rung.
#[derive(Clone, Debug)]
pub struct Employee {
    /// Id in the document.
    pub id: SmolStr,
    /// Display name.
    pub name: SmolStr,
    /// Seniority, lowest first.
    pub rank: Option<i64>,
    /// Department.
    pub department: Option<DepartmentIx>,
    /// Desk phone.
    pub endpoint: Option<SmolStr>,
    /// Mobile phone.
    pub mobile: Option<Number>,
    /// E-mail address.
    pub email: Option<SmolStr>,
}

/// An announcement.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Id in the document.
    pub id: SmolStr,
    /// Length, milliseconds, rounded up.
    pub ms: u64,
}

/// A text with variables.
#[derive(Clone, Debug)]
pub struct Template {
    /// Id in the document.
    pub id: SmolStr,
    /// The text.
    pub text: Text,
    /// Subject of an e-mail.
    pub subject: Option<Text>,
}

/// A text cut into pieces at its variables.
#[derive(Clone, Debug, Default)]
pub struct Text(pub Vec<Piece>);

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As written.
    Literal(SmolStr),
    /// To be filled in.
    Variable(Variable),
}

/// What a text can speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Variable {
    Caller,
    Did,
    Time,
    Date,
    Company,
    Employee,
    Client,
    Scheme,
    Recording,
    Seconds,
}

/// A graph of nodes.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// Id in the document.
    pub id: SmolStr,
    /// First node.
    pub start: NodeIx,
    /// Who owns what nobody else owns.
    pub responsible: Assignee,
    /// What an early hang-up does; `None` is the default rule.
    pub abandoned: Option<Vec<Notice>>,
    /// Its nodes: a range of the company's.
    pub nodes: std::ops::Range<u16>,
    /// False when an error of shape or reference stands in it: then nothing is proven of it.
    pub sound: bool,
}

/// Somebody who is given work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignee {
    /// A person.
    Employee(EmployeeIx),
    /// A department.
    Department(DepartmentIx),
    /// The client's owner, else the last employee rung, else the scheme's responsible.
    Owner,
}

/// A notice.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A short message.
    Sms(Message),
    /// An e-mail.
    Email(Message),
    /// A task.
    Task {
        /// Whose.
        assign: Assignee,
        /// Title.
        title: Text,
    },
}

impl Notice {
    /// True when somebody of the company learns of the call by it: an SMS to the caller tells nobody.
    #[must_use]
    pub fn tells_somebody(&self) -> bool {
        !matches!(self, Self::Sms(Message { to: Recipient::Caller, .. }))
    }
}

/// Who is told, with which text.
#[derive(Clone, Debug)]
pub struct Message {
    /// Recipient.
    pub to: Recipient,
    /// Text.
    pub template: TemplateIx,
}

/// Who receives a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The calling party.
    Caller,
    /// As `Assignee::Owner`.
    Owner,
    /// A person.
    Employee(EmployeeIx),
    /// A telephone.
    Phone(Number),
    /// An e-mail address.
    Address(SmolStr),
}

/// One step of a scheme.
#[derive(Clone, Debug)]
pub struct Node {
    /// Id within its scheme.
    pub id: SmolStr,
    /// Its scheme.
    pub scheme: SchemeIx,
    /// What it does.
    pub step: Step,
    /// Where it leads. The order is fixed by the kind: see the constants of [`exit`].
    pub exits: Vec<Exit>,
    /// True when a call may end after this announcement with nobody told.
    pub allow_lost: bool,
}

/// A way out of a node.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Its name in the document.
    pub name: SmolStr,
    /// Where it leads.
    pub to: NodeIx,
}

/// Places of exits in [`Node::exits`], by kind. Menus, regions and splits have their own exits first, then these.
#[allow(missing_docs)]
pub mod exit {
    pub const DONE: usize = 0;
    pub const OPEN: usize = 0;
    pub const CLOSED: usize = 1;
    pub const MATCH: usize = 0;
    pub const ELSE: usize = 1;
    pub const FIRST: usize = 0;
    pub const REPEAT: usize = 1;
    pub const FOUND: usize = 0;
    pub const UNKNOWN: usize = 1;
    pub const OWNER_UNAVAILABLE: usize = 2;
    pub const NO_ANSWER: usize = 0;
    pub const BUSY: usize = 1;
    pub const UNAVAILABLE: usize = 2;
    pub const TIMEOUT: usize = 0;
    pub const FULL: usize = 1;
    pub const NOBODY: usize = 2;
    pub const AGAIN: usize = 0;
    pub const REPEAT_DONE: usize = 1;
    pub const FAILED: usize = 0;
}

/// What a node does, with references resolved.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Step {
    Play {
        prompt: PromptIx,
    },
    Schedule {
        schedule: ScheduleIx,
    },
    List {
        lists: Vec<ListIx>,
    },
    /// Exit `i` is `regions[i]`; the exit after them is `else`.
    Region {
        regions: Vec<RegionIx>,
    },
    History {
        days: Option<u32>,
        timeout_ms: u32,
    },
    Owner {
        timeout_ms: u32,
    },
    Menu(Menu),
    Ring(Hunt),
    Queue(Queue),
    Repeat {
        times: u16,
        counter: CounterIx,
    },
    Notice(Notice),
    Voicemail {
        prompt: PromptIx,
        ms: u64,
        email: Vec<SmolStr>,
        assign: Option<Assignee>,
    },
    /// Exit `i` is taken below the cumulated weight `upto[i]` of `upto.last()`.
    Split {
        upto: Vec<u64>,
    },
    Tag {
        set: Vec<(SmolStr, SmolStr)>,
    },
    Transfer {
        to: Destination,
        ms: u64,
    },
    /// Its only exit, unnamed, is the other scheme's start.
    Jump,
    Hangup {
        prompt: Option<PromptIx>,
        cause: Cause,
    },
    /// A node refused by the reader or the compiler. A version with one is never run.
    Hole,
}

/// A voice menu. Exits: those of the options, then `no_input`, then `invalid`.
#[derive(Clone, Debug)]
pub struct Menu {
    /// What is offered.
    pub prompt: PromptIx,
    /// Digits and the place of their exit.
    pub options: Vec<(SmolStr, usize)>,
    /// From the end of the prompt to complete input, milliseconds.
    pub ms: u64,
    /// How often it is offered.
    pub attempts: u8,
    /// Played before the offer after wrong digits.
    pub invalid_prompt: Option<PromptIx>,
    /// Played before the offer after silence.
    pub silence_prompt: Option<PromptIx>,
}

impl Menu {
    /// Exit after silence on the last attempt.
    #[must_use]
    pub fn no_input(&self, node: &Node) -> usize {
        node.exits.len() - 2
    }

    /// Exit after wrong digits on the last attempt.
    #[must_use]
    pub fn invalid(&self, node: &Node) -> usize {
        node.exits.len() - 1
    }
}

/// Where a `transfer` gives the call away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A telephone number.
    Phone(Number),
    /// An address in the PBX's own form.
    Endpoint(SmolStr),
}

impl Destination {
    /// Its address as the contract writes it.
    #[must_use]
    pub fn address(&self) -> SmolStr {
        match self {
            Self::Phone(number) => number.text(),
            Self::Endpoint(address) => address.clone(),
        }
    }
}

impl Company {
    /// The node.
    #[must_use]
    pub fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix.at()]
    }

    /// The scheme a dialled number is served by.
    #[must_use]
    pub fn scheme_for(&self, did: Option<Number>) -> Option<SchemeIx> {
        let found = |did| match self.only_number {
            Some((only, scheme)) => (did == only).then_some(scheme),
            None => self.numbers.get(&did).copied(),
        };
        did.and_then(found).or(self.default_scheme)
    }

    /// The most a prompt lasts, milliseconds.
    #[must_use]
    pub fn prompt_ms(&self, prompt: PromptIx) -> u64 {
        self.prompts[prompt.at()].ms
    }
}

impl VersionId {
    /// The identity of a document.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        use std::hash::Hasher;
        let mut hasher = siphasher::sip::SipHasher24::new();
        // A document always has a JSON form: its keys are strings and its numbers finite by the time it is compiled.
        hasher.write(&serde_json::to_vec(document).unwrap_or_default());
        Self(hasher.finish())
    }
}
