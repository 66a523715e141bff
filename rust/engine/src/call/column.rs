//! Calls by columns: each question is put to all of them before the next one is.
//!
//! Lists, hours, regions, and whether a caller has called before lead to where most calls stop by their answers alone. So these
//! questions are put to a whole column, one after another, in loops without a branch that could be guessed wrongly, in which
//! the processor waits for several lines of memory at once; and a call's answers together are its place on a sheet. What stands
//! there was decided by [`Decisions`] for the first call that came to it. Whatever depends on more, owners, chance, queues and
//! phones that are held, is decided for each call by itself.

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::company::document::Strategy;
use crate::company::version::{Company, Hunt, Leg, ListIx, NodeIx, ScheduleIx, Step, exit};
use crate::facts::{Called, Facts};
use crate::floor::Floor;
use crate::number::Number;

use super::branching::is_listed;
use super::{Ask, Decisions, EngineError, Ground, MOST_DECISIONS};

/// The most places of a sheet; a scheme whose questions have more answers together is decided call by call.
const MOST_PLACES: usize = 1 << 12;
/// Stands where no call has come yet.
const BLANK: u32 = u32::MAX;
/// Stands where each call is decided by itself.
const EACH: u32 = u32::MAX - 1;
const _: () = assert!(MOST_DECISIONS < EACH as usize);

/// Calls to be decided, by columns of one length.
#[derive(Clone, Copy, Debug)]
pub struct Calls<'a> {
    /// Our numbers that were dialled.
    pub dids: Dids<'a>,
    /// The calling parties, unless withheld.
    pub callers: &'a [Option<Number>],
    /// Milliseconds of UTC.
    pub moments_ms: &'a [i64],
    /// What chance is seeded by: the calls' ids, or nothing.
    pub call_ids: Option<&'a [&'a str]>,
}

/// Numbers that were dialled.
#[derive(Clone, Copy, Debug)]
pub enum Dids<'a> {
    /// The same by all.
    One(Option<Number>),
    /// One by each.
    Each(&'a [Option<Number>]),
}

impl<'a> Calls<'a> {
    fn did(&self, nth: usize) -> Option<Number> {
        match self.dids {
            Dids::One(did) => did,
            Dids::Each(dids) => dids[nth],
        }
    }

    fn ask(&self, nth: usize) -> Ask<'a> {
        let call_id = self.call_ids.map_or("", |ids| ids[nth]);
        Ask { did: self.did(nth), caller: self.callers[nth], call_id, at_ms: self.moments_ms[nth] }
    }

    fn are_even(&self) -> bool {
        let calls = self.callers.len();
        let dids = match self.dids {
            Dids::One(_) => calls,
            Dids::Each(dids) => dids.len(),
        };
        [dids, self.moments_ms.len(), self.call_ids.map_or(calls, <[_]>::len)] == [calls; 3]
    }
}

/// What stands still while a part of a column is decided.
pub(crate) struct Stage<'e> {
    pub ground: Ground<'e>,
    pub floor: &'e mut Floor,
    pub facts: &'e mut Facts,
}

/// A column on its way, part by part: its decisions, and the sheets of the schemes that its calls come to.
#[derive(Debug)]
pub struct Column {
    decisions: Decisions,
    /// Of calls that no scheme serves, then by scheme.
    sheets: Vec<Option<Sheet>>,
    /// What the floor had seen when it was asked last.
    moves: u64,
    /// The calls of each scheme in the part at hand.
    own: Vec<Vec<u32>>,
    callers: Vec<Option<Number>>,
    moments_ms: Vec<i64>,
    places: Vec<u32>,
}

impl Column {
    /// A column of calls on a version, with the decisions made before.
    #[must_use]
    pub fn new(decisions: Decisions) -> Self {
        let sheets = decisions.company().schemes.len() + 1;
        Self {
            decisions,
            sheets: (0..sheets).map(|_| None).collect(),
            moves: 0,
            own: vec![Vec::new(); sheets],
            callers: Vec::new(),
            moments_ms: Vec::new(),
            places: Vec::new(),
        }
    }

    /// The decisions so far.
    #[must_use]
    pub const fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// Decides a part of the column: adds of each call its decision's number.
    pub(crate) fn ask(
        &mut self,
        stage: &mut Stage<'_>,
        calls: &Calls<'_>,
        numbers: &mut Vec<u32>,
    ) -> Result<(), EngineError> {
        if !calls.are_even() {
            return Err(EngineError::UnevenColumns);
        }
        if self.moves != stage.floor.moves() {
            self.moves = stage.floor.moves();
            self.sheets.iter_mut().flatten().for_each(Sheet::forget_floor);
        }
        let begin = numbers.len();
        numbers.resize(begin + calls.callers.len(), BLANK);
        let numbers = &mut numbers[begin..];
        let company = stage.ground.company;
        match calls.dids {
            Dids::One(did) => self.ask_all(sheet_of(company, did), stage, calls, numbers),
            Dids::Each(dids) => {
                let sheets = self.divide(company, dids);
                if let [sheet] = sheets[..] {
                    self.own[sheet].clear();
                    return self.ask_all(sheet, stage, calls, numbers);
                }
                sheets.into_iter().try_for_each(|sheet| self.ask_own(sheet, stage, calls, numbers))
            }
        }
    }

    /// Divides the calls among the sheets; answers those that have some.
    fn divide(&mut self, company: &Company, dids: &[Option<Number>]) -> SmallVec<[usize; 8]> {
        self.own.iter_mut().for_each(Vec::clear);
        let (mut sheets, mut last) = (SmallVec::new(), None);
        for (nth, &did) in (0..).zip(dids) {
            // Many in a row dial the same.
            let (_, sheet) = last.filter(|&(known, _)| known == did).unwrap_or_else(|| (did, sheet_of(company, did)));
            last = Some((did, sheet));
            if self.own[sheet].is_empty() {
                sheets.push(sheet);
            }
            self.own[sheet].push(nth);
        }
        sheets
    }

    /// Decides calls that all come to one scheme.
    fn ask_all(
        &mut self,
        sheet: usize,
        stage: &mut Stage<'_>,
        calls: &Calls<'_>,
        numbers: &mut [u32],
    ) -> Result<(), EngineError> {
        let sheet = self.sheets[sheet].get_or_insert_with(|| Sheet::new(stage.ground.company, sheet));
        sheet.put(stage, calls.callers, calls.moments_ms, &mut self.places);
        for (nth, (&place, number)) in self.places.iter().zip(numbers).enumerate() {
            *number = sheet.number(place, stage, &mut self.decisions, || calls.ask(nth))?;
        }
        Ok(())
    }

    /// Decides the calls of one scheme among others.
    fn ask_own(
        &mut self,
        sheet: usize,
        stage: &mut Stage<'_>,
        calls: &Calls<'_>,
        numbers: &mut [u32],
    ) -> Result<(), EngineError> {
        let own = &self.own[sheet];
        self.callers.clear();
        self.moments_ms.clear();
        self.callers.extend(own.iter().map(|&nth| calls.callers[nth as usize]));
        self.moments_ms.extend(own.iter().map(|&nth| calls.moments_ms[nth as usize]));
        let sheet = self.sheets[sheet].get_or_insert_with(|| Sheet::new(stage.ground.company, sheet));
        sheet.put(stage, &self.callers, &self.moments_ms, &mut self.places);
        for (&place, &nth) in self.places.iter().zip(own) {
            let nth = nth as usize;
            numbers[nth] = sheet.number(place, stage, &mut self.decisions, || calls.ask(nth))?;
        }
        Ok(())
    }
}

fn sheet_of(company: &Company, did: Option<Number>) -> usize {
    company.scheme_for(did).map_or(0, |scheme| scheme.at() + 1)
}

/// The decisions of a scheme by the answers to its questions.
#[derive(Debug)]
struct Sheet {
    questions: Vec<Question>,
    /// Decisions' numbers, [`BLANK`] or [`EACH`]. The place of a call is a number whose digits are its answers.
    numbers: Vec<u32>,
    /// Places that are right as long as the floor stands still.
    of_floor: Vec<u32>,
}

impl Sheet {
    fn new(company: &Company, sheet: usize) -> Self {
        let start = sheet.checked_sub(1).map(|scheme| company.schemes[scheme].start);
        let questions = start.map(|start| questions(company, start)).unwrap_or_default();
        let answers = questions.iter().map(Question::answers);
        match answers.fold(1, |all: usize, answers| all.saturating_mul(answers)) {
            places @ ..=MOST_PLACES => Self { questions, numbers: vec![BLANK; places], of_floor: Vec::new() },
            _ => Self { questions: Vec::new(), numbers: vec![EACH], of_floor: Vec::new() },
        }
    }

    fn forget_floor(&mut self) {
        self.of_floor.drain(..).for_each(|place| self.numbers[place as usize] = BLANK);
    }

    /// Puts the questions to all calls; `places` are theirs then.
    fn put(&self, stage: &Stage<'_>, callers: &[Option<Number>], moments_ms: &[i64], places: &mut Vec<u32>) {
        places.clear();
        places.resize(callers.len(), 0);
        let mut worth = 1;
        for question in &self.questions {
            question.put(stage, callers, moments_ms, |nth, answer| places[nth] += worth * answer as u32);
            worth *= question.answers() as u32;
        }
    }

    /// The decision of a call at its place.
    fn number<'a>(
        &mut self,
        place: u32,
        stage: &mut Stage<'_>,
        decisions: &mut Decisions,
        ask: impl FnOnce() -> Ask<'a>,
    ) -> Result<u32, EngineError> {
        let known = self.numbers[place as usize];
        if known < EACH {
            return Ok(known);
        }
        let number = decisions.ask(stage.ground, stage.floor, stage.facts, &ask())?;
        if known == BLANK {
            let lasts = lasts(stage, decisions, number);
            self.numbers[place as usize] = if lasts == Lasts::NotAtAll { EACH } else { number };
            if lasts == Lasts::WithTheFloor {
                self.of_floor.push(place);
            }
        }
        Ok(number)
    }
}

/// What a call is asked on its way.
#[derive(Debug, PartialEq)]
enum Question {
    List(Vec<ListIx>),
    Schedule(ScheduleIx),
    /// The exits of the company's regions, and that of the others.
    Region(Vec<u16>, u16),
    History(Option<u32>),
}

impl Question {
    /// How many answers it has: the exits, in their order.
    fn answers(&self) -> usize {
        match self {
            Self::List(_) | Self::Schedule(_) => 2,
            Self::Region(_, others) => usize::from(*others) + 1,
            // Whether it is known at all is an answer, too.
            Self::History(_) => 3,
        }
    }

    fn put(
        &self,
        stage: &Stage<'_>,
        callers: &[Option<Number>],
        moments_ms: &[i64],
        mut answer: impl FnMut(usize, usize),
    ) {
        let Stage { ground: Ground { company, .. }, facts, .. } = stage;
        match self {
            Self::List(lists) if facts.lists_unchanged() => {
                let has = |caller| lists.iter().fold(false, |has, list| has | company.lists.has(list.at(), caller));
                put_lists(callers, has, answer);
            }
            Self::List(lists) => {
                let has = |caller| lists.iter().any(|&list| is_listed(company, facts, list, caller));
                put_lists(callers, has, answer);
            }
            Self::Schedule(schedule) => {
                let schedule = &company.schedules[schedule.at()].1;
                for (nth, &at_ms) in moments_ms.iter().enumerate() {
                    answer(nth, if schedule.is_open(at_ms) { exit::OPEN } else { exit::CLOSED });
                }
            }
            Self::Region(exits, others) => {
                for (nth, caller) in callers.iter().enumerate() {
                    let found = caller.and_then(|caller| company.regions.find(caller));
                    answer(nth, found.map_or(*others, |found| exits[found.region]).into());
                }
            }
            Self::History(days) => {
                for (nth, (caller, &at_ms)) in callers.iter().zip(moments_ms).enumerate() {
                    let called = caller.map_or(Called::Never, |caller| facts.peek_history(caller, *days, at_ms));
                    answer(
                        nth,
                        match called {
                            Called::Never => exit::FIRST,
                            Called::Before => exit::REPEAT,
                            Called::Unknown => exit::REPEAT + 1,
                        },
                    );
                }
            }
        }
    }
}

fn put_lists(callers: &[Option<Number>], has: impl Fn(Number) -> bool, mut answer: impl FnMut(usize, usize)) {
    for (nth, caller) in callers.iter().enumerate() {
        answer(nth, if caller.is_some_and(&has) { exit::MATCH } else { exit::ELSE });
    }
}

/// The different questions that a call may be asked before anything else decides.
fn questions(company: &Company, start: NodeIx) -> Vec<Question> {
    let (mut questions, mut seen, mut ahead) = (Vec::new(), FxHashSet::default(), vec![start]);
    while let Some(ix) = ahead.pop() {
        if ix == NodeIx::NOWHERE || !seen.insert(ix) {
            continue;
        }
        let node = company.node(ix);
        let question = match &node.step {
            Step::List { lists } => Some(Question::List(lists.clone())),
            Step::Schedule { schedule } => Some(Question::Schedule(*schedule)),
            Step::Region { regions } => {
                let others = regions.len() as u16;
                let exit =
                    |region| regions.iter().position(|known| known.at() == region).map_or(others, |at| at as u16);
                Some(Question::Region((0..company.region_ids.len()).map(exit).collect(), others))
            }
            Step::History { days, .. } => Some(Question::History(*days)),
            Step::Play { .. } | Step::Notice(_) | Step::Tag { .. } | Step::Jump | Step::Repeat { .. } => None,
            _ => continue,
        };
        questions.extend(question.filter(|question| !questions.contains(question)));
        ahead.extend(node.exits.iter().map(|exit| exit.to));
    }
    questions
}

/// How long a decision is that of every call with the same answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lasts {
    Always,
    WithTheFloor,
    NotAtAll,
}

fn lasts(stage: &Stage<'_>, decisions: &Decisions, number: u32) -> Lasts {
    let step = |ix: NodeIx| &stage.ground.company.node(ix).step;
    let (passed, stop) = decisions.way(number);
    // What lies beyond these is asked of no column.
    let beyond = |step: &Step| matches!(step, Step::Ring(_) | Step::Queue(_) | Step::Owner { .. } | Step::Split { .. });
    if passed.into_iter().any(|ix| beyond(step(ix))) {
        return Lasts::NotAtAll;
    }
    match stop.map(step) {
        Some(Step::Ring(hunt)) if is_steady(stage, hunt) => Lasts::WithTheFloor,
        Some(stop) if beyond(stop) => Lasts::NotAtAll,
        _ => Lasts::Always,
    }
}

/// Whether a hunt goes the same way for every call and at every moment, as long as the floor stands still.
fn is_steady(stage: &Stage<'_>, hunt: &Hunt) -> bool {
    let Ground { slots, .. } = stage.ground;
    hunt.strategy != Strategy::Random
        && hunt.legs.iter().all(|leg| match leg {
            Leg::Desk(ix) | Leg::Mobile(ix) => !stage.floor.is_claimed(slots[ix.at()]),
            Leg::Phone(_) => true,
            Leg::Owner => false,
        })
}
