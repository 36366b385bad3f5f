//! Which connections nobody speaks on, so that the one that has been silent for longest can make room for another.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The silent connections, the longest silent first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Silences(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    next: u64,
    silent: BTreeMap<u64, (Instant, CancellationToken)>,
}

/// One connection's part in them. It is silent from its beginning, but while a request is answered.
#[derive(Debug, Clone)]
pub(crate) struct Voice(Arc<Place>);

#[derive(Debug)]
struct Place {
    line: Silences,
    ended: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests that are being answered.
    answers: usize,
    /// Its number among the silent.
    number: Option<u64>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Place>);

/// The body of an answer; its connection is silent again when it is gone.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    _answering: Answering,
}

impl Silences {
    /// A new connection's part.
    pub(crate) fn voice(&self) -> Voice {
        let place = Place { line: self.clone(), ended: CancellationToken::new(), state: Mutex::default() };
        place.fall_silent();
        Voice(Arc::new(place))
    }

    /// Ends the connection that has been silent for longest, if that is for `least`.
    pub(crate) fn end_longest(&self, least: Duration) {
        let mut line = lock(&self.0);
        if line.silent.first_entry().is_some_and(|first| first.get().0.elapsed() >= least)
            && let Some((_, (_, ended))) = line.silent.pop_first()
        {
            ended.cancel();
        }
    }
}

impl Voice {
    /// Fires when the connection has to make room.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.0.ended
    }

    /// A request has come.
    pub(crate) fn answering(&self) -> Answering {
        self.0.speak();
        Answering(Arc::clone(&self.0))
    }
}

impl Place {
    fn fall_silent(&self) {
        let mut state = lock(&self.state);
        state.answers = state.answers.saturating_sub(1);
        if state.answers == 0 {
            let mut line = lock(&self.line.0);
            line.next += 1;
            let number = line.next;
            line.silent.insert(number, (Instant::now(), self.ended.clone()));
            state.number = Some(number);
        }
    }

    fn speak(&self) {
        let mut state = lock(&self.state);
        state.answers += 1;
        if let Some(number) = state.number.take() {
            lock(&self.line.0).silent.remove(&number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(number) = lock(&self.state).number.take() {
            lock(&self.line.0).silent.remove(&number);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.fall_silent();
    }
}

impl Answer {
    /// `body`, with which the answer ends.
    pub(crate) fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Numbers and times can't be left half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_makes_room_and_none_that_is_answered() {
        let silences = Silences::default();
        let voices: Vec<Voice> = (0..3).map(|_| silences.voice()).collect();
        let ended = || voices.iter().map(|voice| voice.ended().is_cancelled()).collect::<Vec<_>>();
        silences.end_longest(LEAST);
        assert_eq!(ended(), [false, false, false], "nobody has been silent for long");
        tokio::time::advance(LEAST).await;
        let first = voices[0].answering();
        drop(voices[1].answering());
        silences.end_longest(LEAST);
        assert_eq!(ended(), [false, false, true]);
        silences.end_longest(LEAST);
        assert_eq!(ended(), [false, false, true], "one is answered, the other has just been");
        tokio::time::advance(LEAST).await;
        silences.end_longest(LEAST);
        assert_eq!(ended(), [false, true, true]);
        drop(first);
        tokio::time::advance(LEAST).await;
        silences.end_longest(LEAST);
        assert_eq!(ended(), [true, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_gone_is_forgotten() {
        let silences = Silences::default();
        let voice = silences.voice();
        drop(voice.answering());
        drop(voice);
        assert!(lock(&silences.0).silent.is_empty());
    }
}
