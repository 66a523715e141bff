//! Walks calls through the engine, and holds what they do against what the check said.

use std::collections::HashSet;

use kommutator_engine::call::{Disposition, EndCause, Ended};
use kommutator_engine::check::Report;
use kommutator_engine::company::Document;
use kommutator_engine::company::document::{Kind, Node};
use kommutator_engine::{Action, EngineError, Event, Turn};

use super::documents::{CALLERS, did, followed};
use super::worlds::{Cache, FROM_MS, Floor, House, WEEK_MS, World, arrive, crowds, handle, telling_hours};

/// More events than a call of a random document can have that ends.
const ENDLESS: usize = 3_000;

/// Small random numbers from a seed (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// What the report says, ready to be contradicted.
pub struct Claims<'r> {
    report: &'r Report,
    never: HashSet<(String, String, String)>,
    unreachable: HashSet<(String, String)>,
}

impl<'r> Claims<'r> {
    pub fn new(report: &'r Report) -> Self {
        let of = |code| report.findings.iter().filter(move |finding| finding.code == code);
        let never = of("exit_never_taken").map(|finding| {
            (finding.scheme.clone().unwrap(), finding.node.clone().unwrap(), finding.at.last().unwrap().clone())
        });
        let unreachable = of("unreachable_node");
        let unreachable = unreachable.map(|finding| (finding.scheme.clone().unwrap(), finding.node.clone().unwrap()));
        Self { report, never: never.collect(), unreachable: unreachable.collect() }
    }

    pub fn has(&self, code: &str) -> bool {
        self.report.findings.iter().any(|finding| finding.code == code)
    }

    pub fn blames(&self, code: &str, scheme: &str, node: Option<&str>) -> bool {
        let mut findings = self.report.findings.iter();
        findings.any(|f| f.code == code && f.scheme.as_deref() == Some(scheme) && f.node.as_deref() == node)
    }

    /// True where the check says that this exit is never taken.
    pub fn denies(&self, document: &Document, scheme: &str, node: &str, exit: &str) -> bool {
        // An exit left out is the first one.
        let Node { kind, exits: written, .. } = &document.schemes[scheme].nodes[node];
        let exit = if written.contains_key(exit) || written.is_empty() { exit } else { followed(kind) };
        self.never.contains(&(scheme.to_owned(), node.to_owned(), exit.to_owned()))
    }

    pub fn denies_node(&self, scheme: &str, node: &str) -> bool {
        self.unreachable.contains(&(scheme.to_owned(), node.to_owned()))
    }

    pub fn longest_seconds(&self, scheme: usize) -> Option<f64> {
        self.report.schemes[&format!("scheme{scheme}")].longest_seconds
    }
}

/// How long a prompt lasts.
pub fn prompt_s(document: &Document, prompt: Option<&str>) -> f64 {
    prompt.map_or(0.0, |prompt| document.prompts[prompt].seconds)
}

/// The longest an action can take.
pub fn seconds(document: &Document, action: &Action) -> f64 {
    let s = |ms: u64| ms as f64 / 1000.0;
    match action {
        Action::Play { prompt } => prompt_s(document, Some(prompt)),
        Action::Menu { prompt, notice, ms, .. } => {
            prompt_s(document, Some(prompt)) + prompt_s(document, notice.as_deref()) + s(*ms)
        }
        // An announcement that has begun is played to its end.
        Action::Wait { ms, announce, .. } => s(*ms).max(prompt_s(document, announce.as_deref())),
        Action::Ring { ms, .. } | Action::Transfer { ms, .. } => s(*ms),
        Action::Record { prompt, ms, .. } => prompt_s(document, Some(prompt)) + s(*ms),
        Action::FindOwner { timeout_ms, .. } | Action::FindHistory { timeout_ms, .. } => s(u64::from(*timeout_ms)),
        Action::HangUp { prompt, .. } => prompt_s(document, prompt.as_deref()),
        Action::Talk { .. } | Action::End { .. } => 0.0,
    }
}

/// Every event that can answer an action, but for the caller's hanging up.
pub fn answers(action: &Action) -> Vec<Event> {
    match action {
        Action::Play { .. } => vec![Event::Played {}],
        Action::Menu { digits, .. } => {
            let pressed = digits.iter().map(|digits| Event::Digits { digits: digits.to_string() });
            pressed.chain([Event::NoInput {}, Event::Digits { digits: "**9".into() }]).collect()
        }
        Action::Ring { endpoints, .. } => {
            let first = endpoints[0].endpoint.clone();
            let ended = |cause| vec![Ended { endpoint: first.to_string(), cause }];
            let mut events = vec![
                Event::NoAnswer { ended: vec![] },
                Event::Busy { ended: vec![] },
                Event::Unavailable { ended: vec![] },
                Event::NoAnswer { ended: ended(EndCause::Declined) },
                Event::Answered { endpoint: first.to_string() },
            ];
            let employees: Vec<String> =
                endpoints.iter().filter_map(|rung| rung.employee.as_ref().map(ToString::to_string)).collect();
            if !employees.is_empty() {
                events.push(Event::Taken { employees });
            }
            events
        }
        Action::Wait { .. } => vec![Event::Waited {}, Event::EmployeeFree {}],
        Action::Record { .. } => vec![Event::Recorded { seconds: 5.0 }, Event::Recorded { seconds: 0.25 }],
        Action::FindOwner { .. } => vec![
            Event::Owner { employee: "anna".into() },
            Event::Owner { employee: "clara".into() },
            Event::Owner { employee: "nobody-here".into() },
            Event::NoOwner {},
            Event::Failed {},
        ],
        Action::FindHistory { .. } => vec![Event::CalledBefore {}, Event::NeverCalled {}, Event::Failed {}],
        Action::Transfer { .. } => vec![Event::Failed {}, Event::Transferred {}],
        Action::Talk { .. } => vec![Event::ConversationEnded {}],
        Action::HangUp { .. } => vec![Event::HungUp {}],
        Action::End { .. } => vec![],
    }
}

/// True when an effect tells somebody of the company. The records of a missed call and of tags do not, nor does an SMS
/// to the caller himself.
pub fn tells(turn: &Turn, caller: Option<&str>) -> bool {
    use kommutator_engine::call::Effect;
    turn.effects.iter().any(|effect| match effect {
        Effect::Sms { to, .. } => Some(to.as_str()) != caller,
        Effect::Email { .. } | Effect::Task { .. } | Effect::Voicemail { .. } => true,
        Effect::MissedCall { .. } | Effect::Tag { .. } => false,
    })
}

/// The node at which a call stands: where the last exit led.
pub fn standing<'d>(document: &'d Document, place: &mut (String, String), turn: &Turn) -> &'d Kind {
    if let Some(last) = turn.trace.last() {
        let scheme = &document.schemes[last.scheme.as_str()];
        let node = &scheme.nodes[last.node.as_str()];
        *place = match &node.kind {
            Kind::Scheme { scheme } => (scheme.clone(), document.schemes[scheme].start.clone()),
            _ => {
                let to = node.exits.get(last.exit.as_str()).unwrap_or_else(|| &node.exits[followed(&node.kind)]);
                (last.scheme.to_string(), to.clone())
            }
        };
    }
    &document.schemes[&place.0].nodes[&place.1].kind
}

/// Walks one call of scheme `scheme` to its end, at random, and says what it did that the report denies. False when it
/// went round for ever in one turn, as the report says it can.
pub fn walk(
    document: &Document,
    house: &House,
    claims: &Claims<'_>,
    scheme: usize,
    dice: &mut Dice,
) -> Result<bool, String> {
    let hours = telling_hours(document);
    let caller = dice.one(&CALLERS);
    let id = format!("call-{}", dice.below(1_000));
    let world = any_world(dice, &hours, house);
    let mut place = (format!("scheme{scheme}"), document.schemes[scheme].start.clone());
    let mut told = false;
    let mut elapsed_s = 0.0;
    let mut log = vec![format!("{id} from {caller:?} in {world:?}")];
    let fail = |log: &[String], what: String| Err(format!("{what}\n  {}", log.join("\n  ")));
    let mut step = arrive(house, &id, &did(scheme), caller, world);
    for _ in 0..ENDLESS {
        let (call, turn) = match step {
            Ok(done) => done,
            Err(EngineError::Runaway(_)) if claims.has("unbounded_cycle") => return Ok(false),
            Err(error) => return fail(&log, format!("the engine fails: {error}")),
        };
        for passed in &turn.trace {
            log.push(format!("{} {} –{}→", passed.scheme, passed.node, passed.exit));
            if claims.denies(document, &passed.scheme, &passed.node, &passed.exit) {
                return fail(&log, "an exit that is never taken is taken".into());
            }
        }
        standing(document, &mut place, &turn);
        if claims.denies_node(&place.0, &place.1) {
            return fail(&log, format!("unreachable {place:?} is reached"));
        }
        told |= tells(&turn, caller);
        if let Action::End { disposition, .. } = turn.action {
            return fail(&log, format!("ends unasked: {disposition:?}"));
        }
        let mut world = any_world(dice, &hours, house);
        let hangs_up = dice.below(20) == 0;
        let event = if hangs_up { Event::CallerHungUp { seconds: None } } else { dice.one(&answers(&turn.action)) };
        let mut left_ms = 0;
        if matches!(event, Event::Taken { .. } | Event::EmployeeFree {}) {
            // News of a colleague comes at once, and what is left of the round is rung then.
            world.hour_ms = (call.now_ms - FROM_MS).rem_euclid(WEEK_MS);
            left_ms = length_ms(&turn.action);
        } else {
            elapsed_s += seconds(document, &turn.action);
            left_ms -= (seconds(document, &turn.action) * 1000.0).round() as i64 - length_ms(&turn.action);
        }
        log.push(format!("{:?} {event:?} in {world:?}", turn.action));
        if claims.longest_seconds(scheme).is_some_and(|longest| elapsed_s > longest + 1e-6) {
            return fail(&log, format!("{elapsed_s} s is longer than {:?}", claims.longest_seconds(scheme)));
        }
        // Who was asked for a message and says nothing has had his chance.
        told |= matches!(event, Event::Recorded { .. });
        let ending = matches!(turn.action, Action::HangUp { .. });
        let next = handle(house, &call, &event, world, left_ms);
        if let Ok((_, end)) = &next
            && let Action::End { disposition, .. } = end.action
        {
            told |= tells(end, caller);
            let fine =
                told || matches!(disposition, Disposition::Answered | Disposition::Transferred | Disposition::Informed);
            let said = if ending {
                claims.blames("lost_call", &place.0, Some(&place.1))
            } else {
                claims.blames("lost_on_hangup", &place.0, None)
            };
            if !fine && !said {
                return fail(&log, format!("{disposition:?} at {place:?} is a loss not foreseen"));
            }
            return Ok(true);
        }
        step = next;
    }
    if claims.has("unbounded_cycle") {
        Ok(true)
    } else {
        fail(&log[..100.min(log.len())], "the call never ends".into())
    }
}

/// How long an action of a hunt lasts, in milliseconds.
pub fn length_ms(action: &Action) -> i64 {
    match action {
        Action::Ring { ms, .. } | Action::Wait { ms, .. } => *ms as i64,
        _ => 0,
    }
}

const FLOORS: [Floor; 8] = [
    Floor::Present,
    Floor::Present,
    Floor::Present,
    Floor::Present,
    Floor::Away,
    Floor::Offline,
    Floor::Busy,
    Floor::WrapUp,
];

fn any_world(dice: &mut Dice, hours: &[i64], house: &House) -> World {
    World {
        hour_ms: dice.one(hours),
        lists: dice.below(8) as u8,
        owner: dice.one(&[Cache::Unknown, Cache::Unknown, Cache::Anna, Cache::Nobody]),
        called_before: dice.below(3) == 0,
        floor: dice.one(&FLOORS),
        crowded: if dice.below(3) == 0 { dice.one(&crowds(house.queues())) } else { 0 },
    }
}
