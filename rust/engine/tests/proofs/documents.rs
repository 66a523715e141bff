//! Random company documents: sound in shape and reference, anything goes in how their nodes are wired.

use kommutator_engine::company::Document;
use kommutator_engine::company::document::{
    Cause, Exits, Ids, Kind, Line, Message, Node, Notice, Recipient, Scheme, Step, Strategy as Order, Target, Task,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

/// Lists of every document.
pub const LISTS: [&str; 3] = ["x", "y", "z"];
/// Callers worth trying: withheld, of a region, of regions that take a wider one whole, of none, an extension.
pub const CALLERS: [Option<&str>; 5] =
    [None, Some("+74951234567"), Some("+73431234567"), Some("+79161234567"), Some("101")];

/// `same` has the hours of `day`, `rest` is all that `shift` leaves, `lunch` is within both; one is in another zone.
const SCHEDULES: [(&str, &str); 8] = [
    ("day", r#"{"weekly": {"mon-fri": ["09:00-18:00"]}}"#),
    ("same", r#"{"weekly": {"mon,tue,wed,thu,fri": ["09:00-13:00", "13:00-18:00"]}}"#),
    ("lunch", r#"{"weekly": {"mon-fri": ["13:00-14:00"]}}"#),
    ("shift", r#"{"weekly": {"mon-sun": ["06:00-22:00"]}}"#),
    ("rest", r#"{"weekly": {"mon-sun": ["22:00-06:00"]}}"#),
    ("urals", r#"{"timezone": "Asia/Yekaterinburg", "weekly": {"mon-fri": ["09:00-18:00"]}}"#),
    ("always", r#"{"weekly": {"mon-sun": ["00:00-24:00"]}}"#),
    ("never", r#"{"weekly": {}}"#),
];

/// The number that rings scheme `ix` of a document.
pub fn did(ix: usize) -> String {
    format!("+7495111220{ix}")
}

/// A node before it is wired: what it does, where its exits lead, whether its loss is allowed.
#[derive(Clone, Debug)]
struct Sketch {
    kind: Kind,
    exits: Vec<Index>,
    allow: bool,
    /// A place to which a jump leads.
    scheme: Index,
}

/// A scheme before it is wired.
#[derive(Clone, Debug)]
struct Plan {
    nodes: Vec<Sketch>,
    abandoned: Option<Vec<Notice>>,
    /// Exits lead forward, and to a voicemail at last: most such schemes are sound.
    tame: bool,
    /// Nodes to which no exit leads are left out.
    pruned: bool,
}

/// How large documents are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Most nodes of a scheme.
    pub nodes: usize,
    /// Most schemes.
    pub schemes: usize,
}

/// A document that is shown by what differs: its schemes.
#[derive(Clone)]
pub struct Shown(pub Document);

impl std::fmt::Debug for Shown {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(to, "{} employees", self.0.employees.len())?;
        for (id, scheme) in &self.0.schemes {
            writeln!(to, "{id}: abandoned {:?}", scheme.abandoned)?;
            for (id, node) in &scheme.nodes {
                writeln!(to, "  {id}: {}", serde_json::to_string(node).map_err(|_| std::fmt::Error)?)?;
            }
        }
        Ok(())
    }
}

/// Any document.
pub fn documents(size: Size) -> impl Strategy<Value = Shown> {
    let plans = (vec(plan(size), 1..=size.schemes), prop::bool::weighted(0.9));
    plans.prop_map(|(plans, staffed)| Shown(lay(&plans, staffed)))
}

/// Any document whose schemes begin with a queue.
pub fn documents_with_queues(size: Size) -> impl Strategy<Value = Shown> {
    let begun = (plan(size), queue()).prop_map(|(mut plan, queue)| {
        plan.nodes[0].kind = queue;
        plan
    });
    vec(begun, 1..=size.schemes).prop_map(|plans| Shown(lay(&plans, true)))
}

fn plan(size: Size) -> impl Strategy<Value = Plan> {
    let abandoned = prop_oneof![
        16 => Just(None),
        1 => Just(Some(vec![])),
        1 => Just(Some(vec![Notice::Sms(to(Recipient::Caller))])),
        2 => Just(Some(vec![Notice::Sms(to(Recipient::Caller)), Notice::Task(task("sales"))])),
    ];
    (vec(sketch(), 1..=size.nodes), abandoned, prop::bool::weighted(0.75), prop::bool::weighted(0.8))
        .prop_map(|(nodes, abandoned, tame, pruned)| Plan { nodes, abandoned, tame, pruned })
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (kind(), vec(any::<Index>(), 5), prop::bool::weighted(0.25), any::<Index>())
        .prop_map(|(kind, exits, allow, scheme)| Sketch { kind, exits, allow, scheme })
}

fn kind() -> impl Strategy<Value = Kind> {
    let list = || select(LISTS.map(str::to_owned).to_vec());
    let schedule = select(SCHEDULES.map(|(id, _)| id.to_owned()).to_vec());
    let region = select(["moscow", "ghost", "tenths"].map(str::to_owned).to_vec());
    prop_oneof![
        3 => select(vec!["short", "long"]).prop_map(|prompt| Kind::Play { prompt: prompt.into() }),
        4 => schedule.prop_map(|schedule| Kind::Schedule { schedule }),
        4 => vec(list(), 1..=2).prop_map(|list| Kind::List { list }),
        2 => vec(region, 1..=2).prop_map(|mut regions| {
            regions.dedup();
            Kind::Region { regions }
        }),
        2 => select(vec![None, Some(7), Some(30)]).prop_map(|days| Kind::History { days, timeout_ms: 500 }),
        2 => Just(Kind::Owner { timeout_ms: 800 }),
        2 => menu(),
        4 => ring(),
        3 => queue(),
        3 => (1_u16..=3).prop_map(|times| Kind::Repeat { times }),
        3 => notice(),
        1 => Just(Kind::Voicemail { prompt: "short".into(), seconds: 20.0, email: vec![], assign: None }),
        2 => vec(1_u32..=4, 2..=3).prop_map(|weights| Kind::Split {
            weights: weights.into_iter().enumerate().map(|(ix, weight)| (format!("s{ix}"), weight)).collect(),
        }),
        1 => Just(Kind::Tag { set: Ids::from([("a".into(), "b".into())]) }),
        1 => Just(Kind::Transfer { to: "+73512222222".into(), seconds: 12.0 }),
        1 => Just(Kind::Scheme { scheme: String::new() }),
        1 => select(vec![None, Some("short")])
            .prop_map(|prompt| Kind::Hangup { prompt: prompt.map(Into::into), cause: Cause::Normal }),
    ]
}

fn menu() -> impl Strategy<Value = Kind> {
    let prompts = select(vec![None, Some("short"), Some("long")]);
    (vec(0_usize..2, 1..=3), 1_u8..=2, prompts.clone(), prompts).prop_map(|(exits, attempts, invalid, silence)| {
        Kind::Menu {
            prompt: "long".into(),
            options: exits.iter().enumerate().map(|(key, exit)| (key.to_string(), format!("m{exit}"))).collect(),
            seconds: 4.0,
            attempts,
            invalid_prompt: invalid.map(Into::into),
            silence_prompt: silence.map(Into::into),
        }
    })
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        3 => select(vec!["anna", "boris"]).prop_map(|id| Target::Employee(id.into())),
        3 => Just(Target::Owner(true)),
        1 => Just(Target::Mobile("anna".into())),
        1 => Just(Target::Phone("+74957654321".into())),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    select(vec![
        Order::All,
        Order::Linear,
        Order::RoundRobin,
        Order::LongestIdle,
        Order::FewestCalls,
        Order::Random,
        Order::Expanding,
    ])
}

/// A queue waits up to three quarters of a minute, which is less than its longest single `wait`.
fn queue() -> impl Strategy<Value = Kind> {
    let announce = select(vec![None, None, Some("short"), Some("long")]);
    let seconds = (1_u32..=9, 3_u32..=45, 1_u32..=12, 1_u32..=9);
    (vec(target(), 1..=3), order(), seconds, 1_u32..=2, announce).prop_map(
        |(ring, strategy, (seconds, max_wait, pause, announce_every), max_length, announce)| Kind::Queue {
            ring,
            strategy,
            seconds: f64::from(seconds),
            max_wait: f64::from(max_wait),
            max_length,
            pause: f64::from(pause),
            music: None,
            announce: announce.map(Into::into),
            announce_every: f64::from(announce_every),
        },
    )
}

fn ring() -> impl Strategy<Value = Kind> {
    let by_steps = vec((vec(target(), 1..=2), 1_u32..=9), 1..=3).prop_map(|steps| Kind::Ring {
        ring: vec![],
        strategy: Order::Expanding,
        seconds: None,
        music: None,
        steps: steps.into_iter().map(|(ring, seconds)| Step { ring, seconds: f64::from(seconds) }).collect(),
    });
    let plain = (vec(target(), 1..=3), order(), 1_u32..=9).prop_map(|(ring, strategy, seconds)| Kind::Ring {
        ring,
        strategy,
        seconds: Some(f64::from(seconds)),
        music: None,
        steps: vec![],
    });
    prop_oneof![4 => plain, 1 => by_steps]
}

fn notice() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Sms { message: to(Recipient::Caller) }),
        Just(Kind::Sms { message: to(Recipient::Owner) }),
        Just(Kind::Email { message: to(Recipient::Address("a@example.test".into())) }),
        Just(Kind::Task { task: task("sales") }),
    ]
}

fn to(recipient: Recipient) -> Message {
    Message { to: recipient, template: "note".into() }
}

fn task(assign: &str) -> Task {
    Task { assign: assign.into(), title: "Call {caller}".into() }
}

/// Wires the schemes of a document.
fn lay(plans: &[Plan], staffed: bool) -> Document {
    let mut document: Document = serde_json::from_value(json!({
        "company": {"name": "Test", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "departments": {"sales": {"name": "Sales"}},
        "lists": {"x": {}, "y": {"numbers": ["+79161234567"]}, "z": {"prefixes": ["+7495"]}},
        "regions": {
            "moscow": {"prefixes": ["+7495"]},
            "ghost": {"prefixes": ["+7343"]},
            "tenths": {"prefixes": (0..10).map(|tenth| format!("+7343{tenth}")).collect::<Vec<_>>()},
        },
        "prompts": {"short": {"seconds": 2}, "long": {"seconds": 3.5}},
        "templates": {"note": {"text": "{caller}"}},
    }))
    .unwrap();
    for (id, hours) in SCHEDULES {
        document.schedules.insert(id.into(), serde_json::from_str(hours).unwrap());
    }
    if staffed {
        document.employees = serde_json::from_value(json!({
            "anna": {"department": "sales", "rank": 2, "endpoint": "PJSIP/101", "mobile": "+79160000001"},
            "boris": {"department": "sales", "rank": 1, "endpoint": "PJSIP/102"},
            "clara": {"department": "sales", "email": "clara@example.test"},
        }))
        .unwrap();
    }
    for (ix, plan) in plans.iter().enumerate() {
        let id = format!("scheme{ix}");
        document.numbers.insert(did(ix), Line { scheme: id.clone() });
        document.schemes.insert(id, scheme(plan, ix, plans.len(), staffed));
    }
    document
}

fn scheme(plan: &Plan, own: usize, schemes: usize, staffed: bool) -> Scheme {
    let count = plan.nodes.len();
    let mut nodes = Ids::new();
    for (ix, sketch) in plan.nodes.iter().enumerate() {
        let mut kind = sketch.kind.clone();
        if plan.tame && matches!(kind, Kind::Hangup { .. }) && !sketch.allow {
            kind = Kind::Tag { set: Ids::from([("c".into(), "d".into())]) };
        }
        if let Kind::Scheme { scheme } = &mut kind {
            // A tame scheme goes on to one after it, if there is one.
            let to = if plan.tame { own + 1 + sketch.scheme.index(schemes) } else { sketch.scheme.index(schemes) };
            *scheme = format!("scheme{to}");
            if to >= schemes {
                kind = Kind::Tag { set: Ids::from([("e".into(), "f".into())]) };
            }
        }
        if !staffed {
            unstaff(&mut kind);
        }
        let back = matches!(kind, Kind::Repeat { .. });
        let mut exits = Exits::new();
        for (place, name) in exit_names(&kind, sketch.allow).into_iter().enumerate() {
            let any = sketch.exits[place];
            let to = if plan.tame && !(back && name == "again") {
                ix + 1 + any.index(count - ix)
            } else {
                any.index(count + 2)
            };
            exits.insert(name, format!("n{to}"));
        }
        let announces = matches!(kind, Kind::Play { .. } | Kind::Hangup { .. });
        let allow_lost = (announces && sketch.allow).then(|| "as meant".to_owned());
        nodes.insert(format!("n{ix}"), Node { kind, exits, allow_lost });
    }
    let voicemail = Kind::Voicemail { prompt: "long".into(), seconds: 30.0, email: vec![], assign: None };
    let last = Exits::from([("done".to_owned(), format!("n{}", count + 1))]);
    nodes.insert(format!("n{count}"), Node { kind: voicemail, exits: last, allow_lost: None });
    let hangup = Kind::Hangup { prompt: None, cause: Cause::Normal };
    nodes.insert(format!("n{}", count + 1), Node { kind: hangup, exits: Exits::new(), allow_lost: None });
    if plan.pruned {
        prune(&mut nodes);
    }
    Scheme { start: "n0".into(), responsible: "sales".into(), abandoned: plan.abandoned.clone(), nodes, broken: false }
}

/// Leaves out nodes to which no exit leads.
fn prune(nodes: &mut Ids<Node>) {
    let mut wired = std::collections::BTreeSet::from(["n0".to_owned()]);
    let mut open = vec!["n0".to_owned()];
    while let Some(id) = open.pop() {
        open.extend(nodes[&id].exits.values().filter(|to| wired.insert((*to).clone())).cloned());
    }
    nodes.retain(|id, _| wired.contains(id));
}

/// Only phones and owners can be rung where nobody works.
fn unstaff(kind: &mut Kind) {
    let person = |target: &Target| matches!(target, Target::Employee(_) | Target::Mobile(_));
    let targets: Vec<&mut Target> = match kind {
        Kind::Ring { ring, steps, .. } => {
            ring.iter_mut().chain(steps.iter_mut().flat_map(|step| &mut step.ring)).collect()
        }
        Kind::Queue { ring, .. } => ring.iter_mut().collect(),
        _ => vec![],
    };
    for target in targets.into_iter().filter(|target| person(target)) {
        *target = Target::Phone("+74957654322".into());
    }
}

/// The exit that those left out follow: a hunt's first.
pub fn followed(kind: &Kind) -> &'static str {
    if matches!(kind, Kind::Queue { .. }) { "timeout" } else { "no_answer" }
}

/// A document's queues: scheme and node.
pub fn queues(document: &Document) -> impl Iterator<Item = (&str, &str)> {
    let nodes = document.schemes.iter().flat_map(|(scheme, body)| body.nodes.iter().map(move |node| (scheme, node)));
    nodes.filter(|(_, (_, node))| matches!(node.kind, Kind::Queue { .. })).map(|(scheme, (id, _))| (&**scheme, &**id))
}

pub fn is_hunt(kind: &Kind) -> bool {
    matches!(kind, Kind::Ring { .. } | Kind::Queue { .. })
}

/// Whether a call may pass such a node in an instant.
pub fn passes_at_once(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Play { .. } | Kind::Menu { .. } | Kind::Voicemail { .. } | Kind::Transfer { .. } | Kind::Hangup { .. }
    )
}

/// Whether a call may come to a hunt in the instant in which it has left a queue because nobody was at work.
pub fn hunts_the_absent(scheme: &Scheme) -> bool {
    let queues = scheme.nodes.values().filter(|node| matches!(node.kind, Kind::Queue { .. }));
    let nobody = |node: &Node| node.exits.get("nobody").or(node.exits.get("timeout")).cloned();
    let mut open: Vec<String> = queues.filter_map(nobody).collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(id) = open.pop() {
        let Some(node) = scheme.nodes.get(&id).filter(|_| seen.insert(id.clone())) else { continue };
        if is_hunt(&node.kind) {
            return true;
        }
        if passes_at_once(&node.kind) {
            open.extend(node.exits.values().cloned());
        }
    }
    false
}

/// The exits of a node; a short form leaves out those of a hunt that follow the first.
fn exit_names(kind: &Kind, short: bool) -> Vec<String> {
    let fixed: &[&str] = match kind {
        Kind::Schedule { .. } => &["open", "closed"],
        Kind::List { .. } => &["match", "else"],
        Kind::History { .. } => &["first", "repeat"],
        Kind::Owner { .. } => &["found", "unknown", "unavailable"],
        Kind::Ring { .. } if short => &["no_answer"],
        Kind::Ring { .. } => &["no_answer", "busy", "unavailable"],
        Kind::Queue { .. } if short => &["timeout"],
        Kind::Queue { .. } => &["timeout", "full", "nobody"],
        Kind::Repeat { .. } => &["again", "done"],
        Kind::Transfer { .. } => &["failed"],
        Kind::Scheme { .. } | Kind::Hangup { .. } => &[],
        Kind::Region { regions } => {
            return regions.iter().cloned().chain(["else".to_owned()]).collect();
        }
        Kind::Menu { options, .. } => {
            let mut names: Vec<String> = options.values().cloned().collect();
            names.sort();
            names.dedup();
            return names.into_iter().chain(["no_input".to_owned(), "invalid".to_owned()]).collect();
        }
        Kind::Split { weights } => return weights.keys().cloned().collect(),
        _ => &["done"],
    };
    fixed.iter().map(|&name| name.to_owned()).collect()
}
