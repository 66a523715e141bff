//! The big hunts of a version, before and after their people are seated.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};

use super::Slot;
use crate::company::document::Strategy;
use crate::company::version::{Company, Hunt, Leg, NodeIx, Queue, Step};

/// Hunts with more legs have a group; the legs of others are walked, each time.
pub const WALKED: usize = 32;

/// The big hunts of a version.
#[derive(Debug, Default)]
pub(super) struct Hunters(pub(super) FxHashMap<NodeIx, Hunter>);

/// A big hunt: its group, once a call has asked for it.
#[derive(Clone, Debug)]
pub(super) enum Hunter {
    Seated(u32),
    Waiting(Arc<Shape>),
}

impl Hunters {
    /// Linear in the legs.
    pub(super) fn of(company: &Company, slots: &[Slot]) -> Self {
        let mut shapes: FxHashMap<Arc<Shape>, ()> = FxHashMap::default();
        let hunts = (0..).zip(&company.nodes).filter_map(|(ix, node)| {
            let (Step::Ring(hunt) | Step::Queue(Queue { hunt, .. })) = &node.step else { return None };
            let shape = Arc::new(Shape::of(hunt, slots)?);
            let shape = match shapes.get_key_value(&shape) {
                Some((known, ())) => Arc::clone(known),
                None => {
                    shapes.insert(Arc::clone(&shape), ());
                    shape
                }
            };
            Some((NodeIx(ix), Hunter::Waiting(shape)))
        });
        Self(hunts.collect())
    }
}

/// By what the legs of a hunt are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Record {
    /// Their places in the document.
    Place,
    /// The end of the last conversation.
    Idle,
    /// Calls answered.
    Calls,
}

impl Record {
    pub(super) fn of(self, talked_until_ms: i64, answered: u32) -> i64 {
        match self {
            Self::Place => i64::MIN,
            Self::Idle => talked_until_ms,
            Self::Calls => i64::from(answered),
        }
    }
}

/// The phones of a hunt, and their order: equal ones share a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Of the rest, once for all: a call that looks the shape up hashes no thousand legs.
    hash: u64,
    pub(super) record: Record,
    /// Whose phone each leg is, and whether it is the mobile; nobody's where it is a number alone.
    pub(super) legs: Vec<Option<(Slot, bool)>>,
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Shape {
    /// None where the legs are few, are rung together, or depend on the call.
    fn of(hunt: &Hunt, slots: &[Slot]) -> Option<Self> {
        if hunt.legs.len() <= WALKED {
            return None;
        }
        let record = match hunt.strategy {
            Strategy::All | Strategy::Expanding => return None,
            Strategy::Linear | Strategy::RoundRobin | Strategy::Random => Record::Place,
            Strategy::LongestIdle => Record::Idle,
            Strategy::FewestCalls => Record::Calls,
        };
        let mut legs = Vec::with_capacity(hunt.legs.len());
        for leg in &hunt.legs {
            legs.push(match leg {
                Leg::Desk(ix) => Some((slots[ix.at()], false)),
                Leg::Mobile(ix) => Some((slots[ix.at()], true)),
                Leg::Phone(_) => None,
                Leg::Owner => return None,
            });
        }
        let mut hasher = FxHasher::default();
        (record, &legs).hash(&mut hasher);
        Some(Self { hash: hasher.finish(), record, legs })
    }
}
