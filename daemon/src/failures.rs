//! Wrong keys, counted by the address that they come from: each answer to one comes later than the last.
//!
//! Only answers to wrong keys wait. Whoever shows a right one is let in at once, whatever others behind the same address do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Wrong keys of an address that are answered at once: people mistype.
const FREE: u32 = 3;

/// How long the answer to the next one takes; it doubles with each.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// Longest that an answer takes.
pub const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// After so long without a wrong key, those before are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Addresses that are remembered; past that the one that was quiet for longest is forgotten.
const MOST_ADDRESSES: usize = 4096;

/// Answers that may wait at once, and what part of all connections they may be: each keeps a socket open.
const MOST_WAITING: usize = 64;
const PART_WAITING: usize = 4;

/// Wrong keys by address.
#[derive(Debug)]
pub(crate) struct Failures {
    by_address: Mutex<HashMap<IpAddr, Wrong>>,
    waiting: Semaphore,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    keys: u32,
    last: Instant,
}

/// So many answers wait already that this one is given at once, and says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Failures {
    /// None yet; `max_connections` is what the port takes at once.
    pub(crate) fn new(max_connections: usize) -> Self {
        let waiting = (max_connections / PART_WAITING).clamp(1, MOST_WAITING);
        Self { by_address: Mutex::default(), waiting: Semaphore::new(waiting) }
    }

    /// Counts a wrong key and waits as long as its answer has to.
    pub(crate) async fn wait(&self, address: IpAddr) -> Result<(), TooMany> {
        let delay = self.count(network(address), Instant::now());
        if delay.is_zero() {
            return Ok(());
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| TooMany)?;
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn count(&self, address: IpAddr, now: Instant) -> Duration {
        // Numbers can't be left half-changed.
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() == MOST_ADDRESSES && !by_address.contains_key(&address) {
            let quietest = by_address.iter().min_by_key(|(_, wrong)| wrong.last).map(|(address, _)| *address);
            quietest.map(|quietest| by_address.remove(&quietest));
        }
        let wrong = by_address.entry(address).or_insert(Wrong { keys: 0, last: now });
        if now.saturating_duration_since(wrong.last) > FORGOTTEN_AFTER {
            wrong.keys = 0;
        }
        wrong.keys = wrong.keys.saturating_add(1);
        wrong.last = now;
        match wrong.keys.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_DELAY.saturating_mul(1 << doublings.min(16)).min(LONGEST_DELAY),
        }
    }
}

/// What one household or host has of addresses: of IPv6 the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn answers_come_later_and_later_and_are_forgiven() {
        let failures = Failures::new(1000);
        let begin = Instant::now();
        let delays: Vec<u128> = (0..10).map(|_| failures.count(ip("192.0.2.1"), begin).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(failures.count(ip("192.0.2.2"), begin), Duration::ZERO, "another's");
        let later = begin + FORGOTTEN_AFTER + Duration::from_secs(1);
        assert_eq!(failures.count(ip("192.0.2.1"), later), Duration::ZERO);
    }

    #[test]
    fn a_host_has_one_ipv6_network() {
        let failures = Failures::new(1000);
        let begin = Instant::now();
        for host in 0..4 {
            failures.count(network(ip(&format!("2001:db8::{host}"))), begin);
        }
        assert!(failures.count(network(ip("2001:db8::ffff:1")), begin) > Duration::ZERO);
        assert_eq!(failures.count(network(ip("2001:db8:0:1::1")), begin), Duration::ZERO);
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let failures = Failures::new(1000);
        let begin = Instant::now();
        for number in 0..10_000_u32 {
            let address = std::net::Ipv4Addr::from_bits(number).into();
            failures.count(address, begin + Duration::from_millis(number.into()));
        }
        let by_address = failures.by_address.lock().unwrap();
        assert_eq!(by_address.len(), MOST_ADDRESSES);
        assert!(by_address.contains_key(&std::net::Ipv4Addr::from_bits(9_999).into()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_answers_wait() {
        let failures = Failures::new(8);
        let address = ip("192.0.2.1");
        for _ in 0..FREE {
            failures.wait(address).await.unwrap();
        }
        let answers = (0..4).map(|_| failures.wait(address));
        let answers = futures_util::future::join_all(answers).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    }
}
