//! What a piece of work took: by the clock, of processor time, and in cycles.
//!
//! Processor time leaves out what a thread waited for the processor or for a lock. On a virtual machine it goes on while the
//! host runs others, and cycles do not: a thread's cycles, in the kernel too, are what was done for it.

use std::fs::read_to_string;
use std::time::{Duration, Instant};

use perf_event::events::Hardware;
use perf_event::{Builder, Counter};

use super::processor_time;

/// What a piece of work took.
#[derive(Clone, Copy)]
pub struct Took {
    pub clock: Duration,
    pub processor: Duration,
    /// 0 where they are not counted.
    pub cycles: u64,
}

impl Took {
    /// Is as long as the longer one, in each way by itself.
    pub fn grow(&mut self, other: Self) {
        self.clock = self.clock.max(other.clock);
        self.processor = self.processor.max(other.processor);
        self.cycles = self.cycles.max(other.cycles);
    }

    /// Cycles a nanosecond of processor time; 0 where they are not counted.
    pub fn rate(&self) -> f64 {
        self.cycles as f64 / self.processor.as_nanos() as f64
    }

    /// The time of its cycles at so many a nanosecond; the processor time where none are counted.
    pub fn worked(&self, rate: f64) -> Duration {
        if rate > 0.0 { Duration::from_secs_f64(self.cycles as f64 / rate / 1e9) } else { self.processor }
    }
}

/// Tells what passes for the thread that made it.
pub struct Watch(Option<Counter>);

/// A moment of a [`Watch`].
pub struct Moment {
    pub clock: Instant,
    processor: Duration,
    cycles: u64,
}

impl Watch {
    /// Without cycles where the machine does not count them, or not for this user.
    pub fn new() -> Self {
        let mut asked = Builder::new().kind(Hardware::CPU_CYCLES);
        asked.include_kernel();
        Self(asked.build().and_then(|mut counter| counter.enable().map(|()| counter)).ok())
    }

    fn cycles(&mut self) -> u64 {
        self.0.as_mut().and_then(|counter| counter.read().ok()).unwrap_or(0)
    }

    pub fn now(&mut self) -> Moment {
        let cycles = self.cycles();
        Moment { cycles, processor: processor_time(), clock: Instant::now() }
    }

    pub fn since(&mut self, began: &Moment) -> Took {
        let (clock, processor) = (began.clock.elapsed(), processor_time() - began.processor);
        Took { clock, processor, cycles: self.cycles().saturating_sub(began.cycles) }
    }
}

/// How long the host has let processors of this machine wait so far, in hundredths of a second: proc(5), "steal" of
/// `/proc/stat`. 0 where there is no such count.
pub fn stolen() -> u64 {
    let all = read_to_string("/proc/stat").unwrap_or_default();
    all.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse().ok()).unwrap_or(0)
}

/// Voluntary and involuntary switches of this thread so far: Linux's `/proc/thread-self/status`.
pub fn switches() -> [u64; 2] {
    let status = read_to_string("/proc/thread-self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or(0)
    };
    ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"].map(of)
}
