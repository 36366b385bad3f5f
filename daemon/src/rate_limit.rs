//! So many calls a minute for each caller (`RATE_LIMIT_PER_MINUTE`): a token bucket each, full at first.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::settings::{Source, Variable};

/// RATE_LIMIT_PER_MINUTE, for a program's table.
pub const RATE_LIMIT_PER_MINUTE: Variable = Variable::plain(
    "RATE_LIMIT_PER_MINUTE",
    "600",
    "0 to 1000000 (0 is no limit)",
    "Calls that each caller may make a minute; so many at once after a pause",
);

/// After so many calls the buckets that are full again are forgotten: a full one is as good as none.
const CLEAN_EVERY: usize = 4096;

/// The buckets of all callers, who are told apart by `C`. Clones share them.
#[derive(Debug)]
pub struct RateLimit<C: Hash + Eq + Clone>(Option<Arc<Buckets<C>>>);

#[derive(Debug)]
struct Buckets<C: Hash + Eq + Clone> {
    per_minute: NonZeroU32,
    buckets: DefaultKeyedRateLimiter<C>,
    calls: AtomicUsize,
}

/// A caller's bucket is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than RATE_LIMIT_PER_MINUTE calls, which are {per_minute} a minute")]
pub struct TooOften {
    /// Calls that a caller has each minute.
    pub per_minute: NonZeroU32,
    /// When there is one more.
    pub retry_after: Duration,
}

impl<C: Hash + Eq + Clone> Clone for RateLimit<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The setting [`RATE_LIMIT_PER_MINUTE`].
pub fn read(source: &mut Source) -> u32 {
    source.number(RATE_LIMIT_PER_MINUTE.name, 0..=1_000_000)
}

impl<C: Hash + Eq + Clone> RateLimit<C> {
    /// `per_minute` calls for each caller; 0 is as many as they like.
    pub fn new(per_minute: u32) -> Self {
        let buckets = |per_minute| Buckets {
            per_minute,
            buckets: DefaultKeyedRateLimiter::keyed(Quota::per_minute(per_minute)),
            calls: AtomicUsize::new(1),
        };
        Self(NonZeroU32::new(per_minute).map(buckets).map(Arc::new))
    }

    /// Takes one call of `caller`'s.
    ///
    /// # Errors
    /// [`TooOften`], where they have none left.
    pub fn take(&self, caller: &C) -> Result<(), TooOften> {
        let Some(Buckets { per_minute, buckets, calls }) = self.0.as_deref() else { return Ok(()) };
        if calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(CLEAN_EVERY) {
            buckets.retain_recent();
        }
        buckets.check_key(caller).map_err(|refused| TooOften {
            per_minute: *per_minute,
            retry_after: refused.wait_time_from(DefaultClock::default().now()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_a_bucket() {
        let limit = RateLimit::new(3);
        assert!((0..3).all(|_| limit.take(&"web").is_ok()));
        let wait = limit.take(&"web").unwrap_err().retry_after;
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(20), "{wait:?}");
        assert!(limit.take(&"app").is_ok());
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let limit = RateLimit::new(1_000_000);
        let most = (0..8 * CLEAN_EVERY).map(|caller| {
            limit.take(&caller).unwrap();
            limit.0.as_ref().unwrap().buckets.len()
        });
        assert!(most.max().unwrap() <= 3 * CLEAN_EVERY, "a bucket of so many calls is full again at once");
    }

    #[test]
    fn none_is_as_many_as_one_likes() {
        let limit = RateLimit::new(0);
        assert!((0..10_000).all(|_| limit.take(&"web").is_ok()));
    }
}
