//! The guard threads: the only place where statements are parsed, walked and dropped, because their trees need big stacks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use shared_protocol::error::ErrorCode;
use tokio::sync::oneshot;

use crate::limits::Limits;
use crate::rejection::Rejection;

/// Holds the tree of every text that libpg_query itself lets through (safety.md, wall 1, "Depth").
const STACK_BYTES: usize = 64 << 20;

const SHORTER: &str = "Send a shorter or flatter statement.";

type Job = Box<dyn FnOnce() + Send>;

/// Whether the caller of a judgement has gone: its deadline has passed, or it was dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    /// Whether nobody waits for the verdict any more.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What a judgement ends with then; nobody reads it.
    pub(crate) fn rejection(&self) -> Rejection {
        Rejection::new(ErrorCode::QueryTooComplex, "The statement was judged for too long.").suggest(SHORTER)
    }
}

/// Says so when the caller's future ends, however it ends.
struct Caller(Abandoned);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Longest text that is judged on its caller's own thread, in bytes: it can't nest deep.
const IN_PLACE_BYTES: usize = 1024;

/// Stack that the deepest text that is judged in place takes at most, in bytes: tests/nesting.rs tries them all. A thread that
/// has less left hands its texts to the guard's own threads.
pub const IN_PLACE_STACK: usize = 24 << 20;

/// Whether `text` can be judged on the present thread: it is short, and the stack has room for the worst that it could be.
pub(crate) fn is_safe_in_place(text: &str) -> bool {
    text.len() <= IN_PLACE_BYTES && stacker::remaining_stack().is_some_and(|left| left >= IN_PLACE_STACK)
}

/// A few threads with big stacks behind a bounded queue. They end when the pool is dropped.
pub(crate) struct Pool {
    queue: SyncSender<Job>,
    deadline: Duration,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Panics
    /// Where the system gives no thread: a program can't judge anything then.
    pub(crate) fn new(limits: &Limits) -> Self {
        let (queue, jobs) = sync_channel(limits.queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..limits.threads.max(1) {
            let jobs = jobs.clone();
            thread::Builder::new()
                .name(format!("sql-guard-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&jobs))
                .expect("the system has room for the guard threads");
        }
        Self { queue, deadline: limits.deadline }
    }

    /// Runs `judge` on a guard thread and waits for its verdict, at most as long as the deadline. `judge` should end soon once
    /// it is abandoned: its thread is one of few.
    pub(crate) async fn run<T, F>(&self, judge: F) -> Result<T, Rejection>
    where
        T: Send + 'static,
        F: FnOnce(&Abandoned) -> Result<T, Rejection> + Send + 'static,
    {
        self.run_within(self.deadline, judge).await
    }

    /// As [`Self::run`], with a deadline of its own.
    pub(crate) async fn run_within<T, F>(&self, deadline: Duration, judge: F) -> Result<T, Rejection>
    where
        T: Send + 'static,
        F: FnOnce(&Abandoned) -> Result<T, Rejection> + Send + 'static,
    {
        let (answer, verdict) = oneshot::channel();
        let begun = Arc::new(AtomicBool::new(false));
        let abandoned = Abandoned::default();
        let _caller = Caller(abandoned.clone());
        let job = Box::new({
            let begun = begun.clone();
            move || {
                if abandoned.get() {
                    return;
                }
                begun.store(true, Ordering::Relaxed);
                let verdict = catch_unwind(AssertUnwindSafe(|| judge(&abandoned))).unwrap_or_else(|_| Err(fault()));
                // Nobody listens any more where the deadline has passed.
                let _ = answer.send(verdict);
            }
        });
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(busy()),
            Err(TrySendError::Disconnected(_)) => return Err(fault()),
        }
        match tokio::time::timeout(deadline, verdict).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Err(fault()),
            Err(_) if begun.load(Ordering::Relaxed) => Err(too_slow(deadline)),
            Err(_) => Err(busy()),
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // A job never runs under the lock, so nothing can poison it.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

fn busy() -> Rejection {
    Rejection::new(ErrorCode::ServerBusy, "Too many statements wait to be judged.").suggest("Try again in a moment.")
}

fn too_slow(deadline: Duration) -> Rejection {
    Rejection::new(ErrorCode::QueryTooComplex, format!("The statement could not be judged within {deadline:?}."))
        .suggest(SHORTER)
}

fn fault() -> Rejection {
    Rejection::new(ErrorCode::InternalError, "The guard failed on this statement, so it does not run.")
        .suggest("Write the statement in another way.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { threads: 1, queue: 1, deadline: Duration::from_millis(200), ..Limits::default() }
    }

    #[tokio::test]
    async fn a_panic_is_a_refusal_and_the_thread_lives() {
        // Printing the panic may take a while on a busy machine.
        let pool = Pool::new(&Limits { deadline: Duration::from_secs(60), ..limits() });
        let verdict = pool.run(|_| -> Result<(), Rejection> { panic!("on purpose") }).await;
        assert_eq!(verdict.unwrap_err().code, ErrorCode::InternalError);
        assert_eq!(pool.run(|_| Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_thread_is_free_again_soon_after_its_caller_has_gone() {
        let pool = Pool::new(&limits());
        let until_abandoned = |abandoned: &Abandoned| {
            while !abandoned.get() {
                thread::sleep(Duration::from_millis(1));
            }
            Err::<(), _>(abandoned.rejection())
        };
        let past_the_deadline = pool.run(until_abandoned).await;
        assert_eq!(past_the_deadline.unwrap_err().code, ErrorCode::QueryTooComplex);
        assert_eq!(pool.run(|_| Ok(1)).await.unwrap(), 1);
        let dropped = tokio::time::timeout(Duration::from_millis(20), pool.run(until_abandoned)).await;
        assert!(dropped.is_err());
        assert_eq!(pool.run(|_| Ok(2)).await.unwrap(), 2);
    }

    #[test]
    fn an_abandoned_walk_ends_at_once() {
        let abandoned = Abandoned::default();
        let judge = || crate::advise::advise("SELECT 1", None, None, &limits(), &abandoned);
        assert!(judge().is_ok());
        drop(Caller(abandoned.clone()));
        assert_eq!(judge().unwrap_err().code, ErrorCode::QueryTooComplex);
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_waiting_ends() {
        let pool = Pool::new(&limits());
        let (release, held) = std::sync::mpsc::channel::<()>();
        let running = pool.run(move |_| Ok(held.recv().is_ok()));
        let waiting = pool.run(|_| Ok(true));
        let third = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pool.run(|_| Ok(true)).await
        };
        let (running, waiting, third) = tokio::join!(running, waiting, third);
        assert_eq!(running.unwrap_err().code, ErrorCode::QueryTooComplex, "it had begun");
        assert_eq!(waiting.unwrap_err().code, ErrorCode::ServerBusy, "it never began");
        assert_eq!(third.unwrap_err().code, ErrorCode::ServerBusy, "no room in the queue");
        drop(release);
        while pool.run(|_| Ok(true)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await; // Until the thread has taken what nobody waits for any more.
        }
    }
}
