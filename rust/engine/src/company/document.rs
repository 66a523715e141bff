//! The company document as the engine reads it: plain data, in the author's order.
//!
//! It is the YAML of `scheme-language` as JSON, with what only the outside can know filled in by the reader: prompt
//! lengths, the rows of list files, the ranges of a numbering plan, the holidays of a calendar. An object whose own shape
//! was refused by the reader arrives as a *hole* (`broken`), so that references to it are still known.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Ids keep the order in which the document names them.
pub type Ids<T> = IndexMap<String, T>;

/// The whole document of one company version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// Name, zone, country and language.
    pub company: Card,
    /// People who can be rung.
    pub employees: Ids<Employee>,
    /// Departments and the service types they provide.
    pub departments: Ids<Department>,
    /// What clients ask for.
    pub service_types: Ids<ServiceType>,
    /// Named sets of employees, departments and other groups.
    pub groups: Ids<Group>,
    /// Hours.
    pub schedules: Ids<Hours>,
    /// Number lists.
    pub lists: Ids<NumberList>,
    /// Regions of callers.
    pub regions: Ids<Region>,
    /// Announcements.
    pub prompts: Ids<Prompt>,
    /// Texts of notices.
    pub templates: Ids<Template>,
    /// Which scheme serves which dialled number; `default` serves the rest.
    pub numbers: Ids<Line>,
    /// The schemes.
    pub schemes: Ids<Scheme>,
}

/// The company itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Display name, the `{company}` of templates.
    pub name: String,
    /// IANA zone of all civil times that name no other.
    pub timezone: String,
    /// ISO 3166 country by which national numbers are read.
    pub country: String,
    /// Language of the interface and of `say` prompts: `ru` or `en`.
    #[serde(default = "russian")]
    pub language: String,
}

impl Default for Card {
    fn default() -> Self {
        Self { name: String::new(), timezone: "UTC".into(), country: "RU".into(), language: russian() }
    }
}

fn russian() -> String {
    "ru".into()
}

/// A person who can be rung.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Employee {
    /// Display name, the `{employee}` of templates.
    pub name: String,
    /// Department id.
    pub department: Option<String>,
    /// Seniority; the lowest is rung first by `expanding`.
    pub rank: Option<i64>,
    /// Address of the desk phone, in the PBX's own form (`PJSIP/101`).
    pub endpoint: Option<String>,
    /// Mobile number.
    pub mobile: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// The PBX where the desk phone is registered: routers read it, the engine does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pbx: Option<String>,
    /// His phone is the browser: desks read it, the engine does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub softphone: bool,
    /// True for a hole: the reader refused this entry's shape.
    pub broken: bool,
}

/// A department.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Department {
    /// Display name.
    pub name: String,
    /// Service type ids it provides.
    pub service_types: Vec<String>,
    /// True for a hole.
    pub broken: bool,
}

/// A kind of request that clients make.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceType {
    /// Display name.
    pub name: String,
    /// True for a hole.
    pub broken: bool,
}

/// A named set of people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Ids of employees, departments or other groups, in ringing order.
    pub members: Vec<String>,
    /// True for a hole.
    pub broken: bool,
}

/// A schedule as written: see `schedule::Schedule` for its compiled form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hours {
    /// IANA zone; the company's when absent.
    pub timezone: Option<String>,
    /// Days (`mon`, `mon-thu`, `sat,sun`) to intervals (`09:00-18:00`, may cross midnight, may end at `24:00`).
    pub weekly: Ids<Vec<String>>,
    /// Dates (`2026-12-31`) to that date's own intervals; empty means closed.
    pub exceptions: Ids<Vec<String>>,
    /// The country's calendar, filled in by the reader.
    pub holidays: Option<Holidays>,
    /// Hours of a weekend day that the calendar made a workday; Monday's when absent.
    pub moved_workday: Option<Vec<String>>,
    /// True for a hole.
    pub broken: bool,
}

/// A public calendar, resolved to dates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Holidays {
    /// ISO country, as written.
    pub country: String,
    /// Date → name: public holidays and weekdays made days off.
    pub closed: Ids<String>,
    /// Weekend dates made workdays.
    pub workdays: Vec<String>,
}

/// A list of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NumberList {
    /// Whole numbers, in any spelling.
    pub numbers: Vec<String>,
    /// Leading digits, in any spelling.
    pub prefixes: Vec<String>,
    /// Rows of the list's CSV file, where it is short: (line in the file, number as written).
    pub rows: Vec<(u64, String)>,
    /// The numbers of a long CSV file, as `directory::pack` writes them: the reader has judged its rows already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed: Option<String>,
    /// True for a hole.
    pub broken: bool,
}

/// A region of callers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Region {
    /// Display name.
    pub name: String,
    /// Leading digits, in any spelling.
    pub prefixes: Vec<String>,
    /// Inclusive ranges of whole E.164 numbers, from an imported numbering plan.
    pub ranges: Vec<(u64, u64)>,
    /// True for a hole.
    pub broken: bool,
}

/// An announcement; what is said or played is the adapter's business, how long it lasts is ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompt {
    /// Length in seconds.
    pub seconds: f64,
    /// True for a hole.
    pub broken: bool,
}

/// The text of a notice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Template {
    /// Text with `{variables}`.
    pub text: String,
    /// Subject line of an e-mail, with `{variables}`.
    pub subject: Option<String>,
    /// True for a hole.
    pub broken: bool,
}

/// What serves a dialled number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Scheme id.
    pub scheme: String,
}

/// A graph of nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scheme {
    /// First node.
    pub start: String,
    /// Employee or department that owns what nobody else owns.
    pub responsible: String,
    /// What a caller's early hang-up does; the default rule when absent.
    pub abandoned: Option<Vec<Notice>>,
    /// The nodes.
    pub nodes: Ids<Node>,
    /// True for a hole: the frame around the nodes was refused.
    pub broken: bool,
}

/// A notice of an abandoned call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Notice {
    /// A short message.
    Sms(Message),
    /// An e-mail.
    Email(Message),
    /// A task.
    Task(Task),
}

/// Who is told, with which text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Recipient.
    pub to: Recipient,
    /// Template id.
    pub template: String,
}

/// A task for somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Employee id, department id, or `owner`.
    pub assign: String,
    /// Title, with `{variables}`.
    pub title: String,
}

/// Who receives a message. As written: `caller`, `owner`, `{employee: id}`, `{phone: "+7…"}`, or for e-mail an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The calling party.
    Caller,
    /// The client's owner, else the last employee rung, else the scheme's responsible.
    Owner,
    /// A named employee.
    Employee(String),
    /// A telephone number.
    Phone(String),
    /// An e-mail address.
    Address(String),
}

/// Exit name → node id, in the author's order.
pub type Exits = Ids<String>;

/// One step of a scheme.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it does, with its parameters.
    #[serde(flatten)]
    pub kind: Kind,
    /// Where it leads.
    #[serde(default)]
    pub exits: Exits,
    /// Why a call may end here with nobody told; only then can it end `informed`.
    #[serde(default)]
    pub allow_lost: Option<String>,
}

/// What a node does. Durations are in the units their names end in; prompts, lists and the like are ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Kind {
    Play {
        prompt: String,
    },
    Schedule {
        schedule: String,
    },
    List {
        list: Vec<String>,
    },
    Region {
        regions: Vec<String>,
    },
    History {
        #[serde(default)]
        days: Option<u32>,
        #[serde(default = "lookup_ms")]
        timeout_ms: u32,
    },
    Owner {
        #[serde(default = "lookup_ms")]
        timeout_ms: u32,
    },
    Menu {
        prompt: String,
        options: Ids<String>,
        #[serde(default = "menu_seconds")]
        seconds: f64,
        #[serde(default = "menu_attempts")]
        attempts: u8,
        #[serde(default)]
        invalid_prompt: Option<String>,
        #[serde(default)]
        silence_prompt: Option<String>,
    },
    Ring {
        #[serde(default)]
        ring: Vec<Target>,
        #[serde(default)]
        strategy: Strategy,
        /// Seconds of one round; absent where every step has its own.
        #[serde(default)]
        seconds: Option<f64>,
        #[serde(default)]
        music: Option<String>,
        #[serde(default)]
        steps: Vec<Step>,
    },
    Repeat {
        times: u16,
    },
    Sms {
        #[serde(flatten)]
        message: Message,
    },
    Email {
        #[serde(flatten)]
        message: Message,
    },
    Task {
        #[serde(flatten)]
        task: Task,
    },
    Voicemail {
        prompt: String,
        #[serde(default = "voicemail_seconds")]
        seconds: f64,
        #[serde(default)]
        email: Vec<String>,
        #[serde(default)]
        assign: Option<String>,
    },
    Split {
        weights: Ids<u32>,
    },
    Tag {
        set: Ids<String>,
    },
    Transfer {
        to: String,
        #[serde(default = "transfer_seconds")]
        seconds: f64,
    },
    Scheme {
        scheme: String,
    },
    Hangup {
        #[serde(default)]
        prompt: Option<String>,
        #[serde(default)]
        cause: Cause,
    },
    Queue {
        ring: Vec<Target>,
        #[serde(default)]
        strategy: Strategy,
        /// Seconds of one attempt.
        seconds: f64,
        /// Seconds from coming to the exit `timeout`.
        #[serde(default = "queue_seconds")]
        max_wait: f64,
        /// With so many callers in line, the next leaves by `full`.
        #[serde(default = "queue_length")]
        max_length: u32,
        /// Seconds for which a phone that was rung in vain is passed over.
        #[serde(default = "queue_pause")]
        pause: f64,
        #[serde(default)]
        music: Option<String>,
        /// Told to who waits, at first and then `announce_every` seconds after the end of the longest of them.
        #[serde(default)]
        announce: Option<Announce>,
        #[serde(default = "queue_announce")]
        announce_every: f64,
    },
    /// Understood, and refused by the check with `not_yet`.
    Webhook {},
    /// A hole: the reader refused this node's shape.
    Broken {},
}

fn lookup_ms() -> u32 {
    800
}
fn menu_seconds() -> f64 {
    5.0
}
fn menu_attempts() -> u8 {
    3
}
fn voicemail_seconds() -> f64 {
    120.0
}
fn transfer_seconds() -> f64 {
    30.0
}
fn queue_seconds() -> f64 {
    600.0
}
fn queue_length() -> u32 {
    1000
}
fn queue_pause() -> f64 {
    10.0
}
fn queue_announce() -> f64 {
    30.0
}

/// What callers in line are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Announce {
    /// The same to everybody.
    Alike(String),
    /// By the place in line: to the first, the second, and so on; the last to whoever stands further back.
    ByPlace(Vec<String>),
}

impl Announce {
    /// The prompts, by place.
    #[must_use]
    pub fn prompts(&self) -> &[String] {
        match self {
            Self::Alike(prompt) => std::slice::from_ref(prompt),
            Self::ByPlace(prompts) => prompts,
        }
    }
}

/// Whom a round rings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// An employee's desk phone.
    Employee(String),
    /// Everybody in a group.
    Group(String),
    /// Everybody in a department.
    Department(String),
    /// An employee's mobile.
    Mobile(String),
    /// A telephone number.
    Phone(String),
    /// Whom the last `owner` node found.
    Owner(bool),
}

/// One step of an expanding hunt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Who is added.
    pub ring: Vec<Target>,
    /// Seconds until the next step.
    pub seconds: f64,
}

/// The order of a hunt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All at once, one round.
    #[default]
    All,
    /// One after another, as written.
    Linear,
    /// One after another, beginning after whom the last call of this node began with.
    RoundRobin,
    /// Whose last conversation ended longest ago.
    LongestIdle,
    /// Who has answered the fewest calls.
    FewestCalls,
    /// An order seeded by the call id.
    Random,
    /// Each round adds people to those who already ring.
    Expanding,
}

/// Why we hang up, in the words of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Cause {
    #[default]
    Normal,
    Busy,
    NoAnswer,
    Congestion,
    Rejected,
    Unallocated,
}
