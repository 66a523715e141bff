//! The wall clock of a zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// The years whose changes of the clock are laid out: 2020-01-01 to 2060-01-01 UTC, in seconds of UTC. Other years ask
/// the zone itself.
const LAID_OUT: std::ops::Range<i64> = 1_577_836_800..2_840_140_800;

/// A zone, with its changes of the clock laid out for the years in which calls come. Both ways answer alike.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// The first second of each offset, from the beginning of [`LAID_OUT`].
    changes: Box<[(i64, Offset)]>,
    /// Of each stretch of `2^STRETCH` seconds, the change that holds at its end.
    stretches: Box<[u16]>,
}

/// Some 24 days: most have no change of the clock.
const STRETCH: u32 = 21;

impl Clock {
    pub(super) fn new(zone: TimeZone) -> Self {
        let mut changes = Vec::new();
        if let Ok(from) = Timestamp::from_second(LAID_OUT.start) {
            changes.push((LAID_OUT.start, zone.to_offset(from)));
            let following = zone.following(from).map(|change| (change.timestamp().as_second(), change.offset()));
            changes.extend(following.take_while(|&(at, _)| at < LAID_OUT.end));
        }
        let ends = (LAID_OUT.start >> STRETCH..=LAID_OUT.end >> STRETCH).map(|stretch| (stretch + 1) << STRETCH);
        let last = |end: i64| changes.partition_point(|&(from, _)| from < end).saturating_sub(1);
        let stretches = ends.map(|end| last(end) as u16).collect();
        Self { zone, changes: changes.into(), stretches }
    }

    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What the clock shows.
    pub(super) fn at(&self, second: Timestamp) -> DateTime {
        self.offset(second.as_second()).unwrap_or_else(|| self.zone.to_offset(second)).to_datetime(second)
    }

    /// What the clock shows, as seconds from 1970-01-01 00:00 of its own; none beyond the years laid out.
    pub(super) fn local_second(&self, second: i64) -> Option<i64> {
        self.offset(second).map(|offset| second + i64::from(offset.seconds()))
    }

    fn offset(&self, second: i64) -> Option<Offset> {
        if !LAID_OUT.contains(&second) {
            return None;
        }
        let last = *self.stretches.get(((second >> STRETCH) - (LAID_OUT.start >> STRETCH)) as usize)?;
        let until_then = self.changes.get(..=usize::from(last))?;
        until_then.iter().rev().find(|&&(from, _)| from <= second).map(|&(_, offset)| offset)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::*;

    /// Around every change of the clock, and on every 40th day, of 1900 to 2100, in every zone.
    #[test]
    fn the_clock_shows_what_the_zone_says() {
        let start: Timestamp = "1900-01-01T00:00:00Z".parse().unwrap();
        let end: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
        let mut compared = 0_u64;
        for name in TimeZoneDatabase::bundled().available() {
            let zone = TimeZoneDatabase::bundled().get(name.as_str()).unwrap();
            let clock = Clock::new(zone.clone());
            let changes = zone.following(start).map(|change| change.timestamp()).take_while(|&at| at < end);
            let days = (start.as_second()..end.as_second()).step_by(40 * 86_400);
            let moments = changes.map(Timestamp::as_second).chain(days).chain([LAID_OUT.start, LAID_OUT.end]);
            for moment in moments {
                for second in [moment - 1, moment, moment + 1] {
                    let second = Timestamp::from_second(second).unwrap();
                    assert_eq!(clock.at(second), zone.to_datetime(second), "{} {second}", name.as_str());
                    compared += 1;
                }
            }
        }
        assert!(compared > 1_000_000, "{compared}");
    }
}
