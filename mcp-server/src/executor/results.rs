//! What all results together may take of memory (`MAX_TOTAL_RESULT_BYTES`), from the first row that is written until the answer
//! has left through its socket.
//!
//! A quarter is set aside for the first bytes of every result, so that small ones are answered however many big ones nobody reads.
//! A result that outgrows its share there reserves all that it may still become in one step, and then never waits again: no two
//! results can wait for each other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted at a time.
const UNIT: usize = 1024;

/// Most bytes of a result that are taken from the part that is set aside for small ones.
const SMALL: usize = 64 * 1024;

/// The memory for results. Clones share it.
#[derive(Debug, Clone)]
pub struct ResultMemory {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// Results that may wait for more at once: each keeps its slot and its connection meanwhile.
    waiters: Arc<Semaphore>,
    wait: Duration,
}

/// No memory is free for a result, and none became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("results that are not read yet take all of MAX_TOTAL_RESULT_BYTES")]
pub struct MemoryFull {
    /// When it is worth trying again.
    pub retry_after: Duration,
}

/// What one result has of the memory. Dropping it gives all back.
#[derive(Debug, Default)]
pub struct Reservation {
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

/// Where an answer's reservation is kept until the answer has left. Clones share the place.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<Option<Reservation>>>);

impl ResultMemory {
    /// Memory of `total` bytes, for which a result waits at most `wait`; at most `waiters` wait in the middle of their rows.
    pub fn new(total: usize, waiters: usize, wait: Duration) -> Self {
        let units = total / UNIT;
        let small = units / 4;
        let of = |permits: usize| Arc::new(Semaphore::new(permits));
        Self { small: of(small), large: of(units - small), waiters: of(waiters), wait }
    }

    /// A place for an answer of `bytes` bytes.
    ///
    /// # Errors
    /// [`MemoryFull`] where there is none in time.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation, MemoryFull> {
        let mut reservation = self.begin(bytes).await?;
        self.cover(&mut reservation, bytes, bytes).await?;
        Ok(reservation)
    }

    /// What a result of at most `most` bytes begins with.
    pub(super) async fn begin(&self, most: usize) -> Result<Reservation, MemoryFull> {
        let small = self.part(&self.small, most.min(SMALL)).await?;
        Ok(Reservation { small: Some(small), large: None })
    }

    /// Sees to it that `reservation` covers a result that has `bytes` bytes now and may have `most` in the end.
    pub(super) async fn cover(
        &self,
        reservation: &mut Reservation,
        bytes: usize,
        most: usize,
    ) -> Result<(), MemoryFull> {
        if bytes <= SMALL || reservation.large.is_some() {
            return Ok(());
        }
        let rest = most.saturating_sub(SMALL);
        if let Some(large) = try_part(&self.large, rest) {
            reservation.large = Some(large);
            return Ok(());
        }
        let _waiter = self.waiters.try_acquire().map_err(|_| self.full())?;
        reservation.large = Some(self.part(&self.large, rest).await?);
        Ok(())
    }

    async fn part(&self, of: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, MemoryFull> {
        let part = Arc::clone(of).acquire_many_owned(units(bytes));
        match tokio::time::timeout(self.wait, part).await {
            Ok(part) => part.map_err(|_| self.full()),
            Err(_) => Err(self.full()),
        }
    }

    fn full(&self) -> MemoryFull {
        MemoryFull { retry_after: self.wait }
    }
}

fn try_part(of: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(of).try_acquire_many_owned(units(bytes)).ok()
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl Reservation {
    /// Gives back what is over: the result is whole, and has `bytes` bytes.
    pub(super) fn settle(&mut self, bytes: usize) {
        shrink(&mut self.small, bytes.min(SMALL));
        shrink(&mut self.large, bytes.saturating_sub(SMALL));
    }
}

fn shrink(part: &mut Option<OwnedSemaphorePermit>, bytes: usize) {
    let Some(permit) = part else { return };
    let over = permit.num_permits().saturating_sub(units(bytes) as usize);
    drop(permit.split(over));
}

impl Held {
    /// Keeps `reservation` here.
    pub fn keep(&self, reservation: Reservation) {
        *self.place() = Some(reservation);
    }

    /// The answer has left, or never will.
    pub fn let_go(&self) {
        drop(self.place().take());
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Reservation>> {
        // A reservation is there or not, nothing between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;
    const BRIEF: Duration = Duration::from_millis(20);

    async fn large(memory: &ResultMemory, most: usize) -> Result<Reservation, MemoryFull> {
        let mut reservation = memory.begin(most).await?;
        memory.cover(&mut reservation, SMALL + 1, most).await.map(|()| reservation)
    }

    #[tokio::test]
    async fn big_results_leave_room_for_small_ones() {
        let memory = ResultMemory::new(4 * MIB, 8, BRIEF);
        let first = large(&memory, 2 * MIB).await.unwrap();
        assert_eq!(large(&memory, 2 * MIB).await.err(), Some(memory.full()));
        let mut small = memory.begin(2 * MIB).await.unwrap();
        memory.cover(&mut small, SMALL, 2 * MIB).await.unwrap();
        drop(first);
        large(&memory, 2 * MIB).await.unwrap();
    }

    #[tokio::test]
    async fn a_whole_result_keeps_only_its_size() {
        let memory = ResultMemory::new(4 * MIB, 8, BRIEF);
        let mut results = Vec::new();
        for _ in 0..8 {
            let mut result = large(&memory, 2 * MIB).await.unwrap();
            result.settle(200 * 1024);
            results.push(result);
        }
        let mut empty = large(&memory, MIB).await.unwrap();
        empty.settle(0);
        results.push(empty);
        assert_eq!(memory.small.available_permits(), 1024 - 8 * 64);
        assert_eq!(memory.large.available_permits(), 3072 - 8 * 136);
        drop(results);
        assert_eq!((memory.small.available_permits(), memory.large.available_permits()), (1024, 3072));
    }

    #[tokio::test]
    async fn only_so_many_wait_and_the_others_are_told_at_once() {
        let memory = ResultMemory::new(4 * MIB, 1, Duration::from_secs(60));
        let first = large(&memory, 2 * MIB).await.unwrap();
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { large(&memory, 2 * MIB).await }
        });
        while memory.waiters.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(large(&memory, 2 * MIB).await.err(), Some(memory.full()));
        drop(first);
        waiting.await.unwrap().unwrap();
    }

    #[test]
    fn what_is_held_is_given_back_once_for_all_clones() {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = Held::default();
        held.keep(Reservation { small: try_part(&semaphore, 1), large: None });
        assert_eq!(semaphore.available_permits(), 0);
        held.clone().let_go();
        assert_eq!(semaphore.available_permits(), 1);
    }
}
