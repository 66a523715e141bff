//! Civil days laid out minute by minute, so that one bit says whether it is open.

use std::ops::RangeInclusive;

use indexmap::IndexSet;

use super::{DAY_MINUTES, Interval, crossing, open_minutes};

/// Days since the epoch whose shape is laid out, where they do not follow the week: those of the years that the clock lays out,
/// in any zone, and the day before them. Others are nobody's question.
const LAID_OUT: RangeInclusive<i32> = 18_260..=32_873;
const WEEK: usize = 7;
/// Days from a Monday to the epoch's.
const EPOCH: i64 = 3;

/// The minutes of a day at which it is open, as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Shape([u64; DAY_MINUTES as usize / 64 + 1]);

/// Every day's shape.
#[derive(Clone, Debug, Default)]
pub(super) struct Days {
    /// Those of the week, from Monday, then others; each once but those.
    shapes: Box<[Shape]>,
    /// The shapes, by their places, of the days from `first` to the last that does not follow the week.
    stretch: Box<[u16]>,
    first: i64,
}

impl Days {
    /// Lays days out: `on` is what begins on a day, and `special` are the days that do not follow the week, in order.
    pub(super) fn new<'s>(special: &[i32], on: impl Fn(i64) -> &'s [Interval]) -> Self {
        let shape = |day: i64| Shape::of(on(day), crossing(on(day - 1)));
        // A week without such days; there are few of them, and none far away.
        let ordinary = special.last().map_or(0, |&last| i64::from(last) + 2);
        let monday = ordinary + (WEEK as i64 - (ordinary + EPOCH).rem_euclid(WEEK as i64));
        let week: Vec<Shape> = (monday..monday + WEEK as i64).map(shape).collect();
        let laid_out: Vec<i64> = special.iter().filter(|day| LAID_OUT.contains(day)).map(|&day| day.into()).collect();
        let (Some(&first), Some(&last)) = (laid_out.first(), laid_out.last()) else {
            return Self { shapes: week.into(), stretch: Box::default(), first: 0 };
        };
        // What a day leaves after midnight is the next one's.
        let last = last + 1;
        let mut others = IndexSet::new();
        let mut place = |day: i64| {
            let like_the_week = weekday(day);
            let own = shape(day);
            if own == week[like_the_week] { like_the_week } else { WEEK + others.insert_full(own).0 }
        };
        let stretch = (first..=last).map(|day| place(day) as u16).collect();
        Self { shapes: week.into_iter().chain(others).collect(), stretch, first }
    }

    /// Whether it is open in a second of the wall clock, counted from its own 1970.
    pub(super) fn is_open(&self, local_second: i64) -> bool {
        let second = local_second.unsigned_abs();
        let (day, minute) = ((second / 86_400) as i64, second % 86_400 / 60);
        let place = match self.stretch.get((day - self.first) as usize) {
            Some(&place) => usize::from(place),
            None => weekday(day),
        };
        self.shapes.get(place).is_some_and(|shape| shape.is_open(minute))
    }
}

impl Shape {
    fn of(own: &[Interval], remainder: Option<Interval>) -> Self {
        let mut shape = Self::default();
        for (from, to) in open_minutes(own, remainder) {
            (from..to).for_each(|minute| shape.0[usize::from(minute) / 64] |= 1 << (minute % 64));
        }
        shape
    }

    fn is_open(&self, minute: u64) -> bool {
        self.0.get(minute as usize / 64).is_some_and(|minutes| minutes >> (minute % 64) & 1 == 1)
    }
}

/// From Monday.
pub(super) const fn weekday(day: i64) -> usize {
    (day + EPOCH).rem_euclid(WEEK as i64) as usize
}
