//! So many tool calls a minute for each caller (`RATE_LIMIT_PER_MINUTE`): a token bucket each, full at first.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::caller::Caller;

/// After so many calls the buckets that are full again are forgotten: a full one is as good as none.
const CLEAN_EVERY: usize = 4096;

/// The buckets of all callers. Clones share them.
#[derive(Debug, Clone)]
pub struct RateLimit(Option<Arc<Buckets>>);

#[derive(Debug)]
struct Buckets {
    per_minute: NonZeroU32,
    buckets: DefaultKeyedRateLimiter<Caller>,
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

impl RateLimit {
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
    pub fn take(&self, caller: &Caller) -> Result<(), TooOften> {
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
        let check = |key: &str, subject: Option<&str>, allowed: bool| {
            let caller = Caller { subject: subject.map(str::to_owned), ..Caller::of_key(key) };
            assert_eq!(limit.take(&caller).is_ok(), allowed, "{caller:?}");
        };
        for _ in 0..3 {
            check("web", None, true);
        }
        check("web", None, false);
        check("web", Some("alice"), true);
        check("app", None, true);
        let wait = limit.take(&Caller::of_key("web")).unwrap_err().retry_after;
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(20), "{wait:?}");
    }

    #[test]
    fn none_is_as_many_as_one_likes() {
        let limit = RateLimit::new(0);
        assert!((0..10_000).all(|_| limit.take(&Caller::of_key("web")).is_ok()));
    }
}
