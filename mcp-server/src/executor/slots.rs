//! Slots for running statements, handed out fairly: a free one goes to the caller who waits and has the fewest, so that nobody's
//! many calls keep another's few from being run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::caller::Caller;

/// Calls that may wait for each slot; over that a call is refused at once.
const WAITING_PER_SLOT: usize = 16;

/// All slots and who waits for them. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Slots(Arc<Mutex<State>>);

/// The line is full, and this call has no better claim to a place in it than those that wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A caller's turn to judge a statement and run it, or a place in the line for one. Dropping it gives either back.
#[derive(Debug)]
pub struct Turn {
    slots: Slots,
    owner: Caller,
    ticket: u64,
}

#[derive(Debug)]
struct State {
    free: usize,
    most_waiting: usize,
    waiting: usize,
    next_ticket: u64,
    /// Slots handed out so far.
    turns: u64,
    /// Callers who have or want a slot.
    callers: HashMap<Caller, Calls>,
}

/// One caller's calls.
#[derive(Debug, Default)]
struct Calls {
    most: usize,
    /// When they last had a turn, or came: whoever comes again and again is no earlier than those who wait.
    last_turn: u64,
    running: HashSet<u64>,
    line: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    /// Dropped, it says that the place in the line is lost.
    turn: oneshot::Sender<()>,
}

impl Slots {
    /// So many slots, all free.
    pub(super) fn new(slots: usize) -> Self {
        let most_waiting = slots.saturating_mul(WAITING_PER_SLOT);
        let state = State { free: slots, most_waiting, waiting: 0, next_ticket: 0, turns: 0, callers: HashMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A slot for `caller`, who may have `most` at once, as soon as it is their turn. Whoever gives up waiting drops the future.
    ///
    /// # Errors
    /// [`Full`] at once, or later, when a caller who waits for fewer needs the place.
    pub(super) async fn take(&self, caller: &Caller, most: Option<usize>) -> Result<Turn, Full> {
        let (slot, turn) = self.line_up(caller, most)?;
        turn.await.map(|()| slot).map_err(|_| Full)
    }

    fn line_up(&self, caller: &Caller, most: Option<usize>) -> Result<(Turn, oneshot::Receiver<()>), Full> {
        let owner = caller.clone();
        let mut state = self.state();
        if state.waiting >= state.most_waiting && !state.make_room(&owner) {
            return Err(Full);
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let (turn, turned) = oneshot::channel();
        let last_turn = state.turns;
        let calls = state.callers.entry(owner.clone()).or_insert_with(|| Calls { last_turn, ..Calls::default() });
        calls.most = most.unwrap_or(usize::MAX).max(1);
        calls.line.push_back(Waiting { ticket, turn });
        state.waiting += 1;
        state.hand_out();
        drop(state);
        Ok((Turn { slots: self.clone(), owner, ticket }, turned))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives free slots to those who wait: to the caller with the fewest running, and of equals to the one whose last turn is
    /// longest ago.
    fn hand_out(&mut self) {
        while self.free > 0 {
            let ready = self.callers.values_mut().filter(|calls| calls.running.len() < calls.most);
            let claims = ready.filter_map(|calls| {
                let first = calls.line.front()?.ticket;
                Some(((calls.running.len(), calls.last_turn, first), calls))
            });
            let Some((_, calls)) = claims.min_by_key(|(claim, _)| *claim) else { return };
            let Some(Waiting { ticket, turn }) = calls.line.pop_front() else { return };
            self.turns += 1;
            calls.last_turn = self.turns;
            calls.running.insert(ticket);
            self.free -= 1;
            self.waiting -= 1;
            // Where nobody listens any more, the `Turn` is being dropped and comes for the lock next.
            let _ = turn.send(());
        }
    }

    /// Takes the last place from the caller who waits for most, where that is more than `owner` would.
    fn make_room(&mut self, owner: &Caller) -> bool {
        let own = self.callers.get(owner).map_or(0, |calls| calls.line.len());
        let Some(longest) = self.callers.values_mut().max_by_key(|calls| calls.line.len()) else { return false };
        if longest.line.len() <= own + 1 {
            return false;
        }
        longest.line.pop_back();
        self.waiting -= 1;
        true
    }

    fn give_back(&mut self, owner: &Caller, ticket: u64) {
        let Some(calls) = self.callers.get_mut(owner) else { return };
        if calls.running.remove(&ticket) {
            self.free += 1;
        } else if let Some(at) = calls.line.iter().position(|waiting| waiting.ticket == ticket) {
            calls.line.remove(at);
            self.waiting -= 1;
        }
        if calls.running.is_empty() && calls.line.is_empty() {
            self.callers.remove(owner);
        }
        self.hand_out();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.slots.state().give_back(&self.owner, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Turned = oneshot::Receiver<()>;

    fn caller(key: &str) -> Caller {
        Caller::of_key(key)
    }

    fn line_up(slots: &Slots, key: &str) -> (Turn, Turned) {
        slots.line_up(&caller(key), None).expect("there is room in the line")
    }

    fn has_turn((_, turn): &mut (Turn, Turned)) -> bool {
        turn.try_recv().is_ok()
    }

    #[test]
    fn a_free_slot_goes_to_the_caller_who_has_fewest() {
        let slots = Slots::new(2);
        let mut greedy: Vec<_> = (0..8).map(|_| line_up(&slots, "greedy")).collect();
        let mut modest = line_up(&slots, "modest");
        assert!(has_turn(&mut greedy[0]) && has_turn(&mut greedy[1]) && !has_turn(&mut greedy[2]));
        drop(greedy.remove(0));
        assert!(has_turn(&mut modest), "although others have waited longer");
        drop(modest);
        assert!(has_turn(&mut greedy[1]));
    }

    #[test]
    fn subjects_of_one_key_are_callers_of_their_own() {
        let slots = Slots::new(1);
        let of = |subject: &str| Caller { subject: Some(subject.to_owned()), ..caller("agent") };
        let first = slots.line_up(&of("alice"), None).unwrap();
        let second = slots.line_up(&of("alice"), None).unwrap();
        let mut bob = slots.line_up(&of("bob"), None).unwrap();
        drop(first);
        // Both have none now; the one who came first is first.
        assert!(!has_turn(&mut bob));
        drop(second);
        assert!(has_turn(&mut bob));
    }

    #[test]
    fn a_caller_has_no_more_than_their_own_most() {
        let slots = Slots::new(3);
        let first = slots.line_up(&caller("narrow"), Some(1)).unwrap();
        let mut second = slots.line_up(&caller("narrow"), Some(1)).unwrap();
        assert!(!has_turn(&mut second), "although slots are free");
        assert!(has_turn(&mut line_up(&slots, "other")));
        drop(first);
        assert!(has_turn(&mut second));
    }

    #[test]
    fn a_full_line_makes_room_for_who_waits_for_less() {
        let slots = Slots::new(1);
        let mut greedy: Vec<_> = (0..=WAITING_PER_SLOT).map(|_| line_up(&slots, "greedy")).collect();
        assert_eq!(slots.line_up(&caller("greedy"), None).err(), Some(Full));
        let mut modest = line_up(&slots, "modest");
        let (_, evicted) = greedy.last_mut().unwrap();
        assert_eq!(evicted.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        drop(greedy.remove(0));
        drop(greedy.remove(0));
        assert!(has_turn(&mut modest), "although many have waited longer");
    }

    #[test]
    fn callers_who_come_again_and_again_do_not_overtake_who_waits() {
        let slots = Slots::new(1);
        let mut running = line_up(&slots, "first");
        let mut patient = line_up(&slots, "patient");
        for _ in 0..2 {
            let next = line_up(&slots, "first");
            let _other = line_up(&slots, "other");
            drop(std::mem::replace(&mut running, next));
        }
        assert!(has_turn(&mut patient));
    }

    #[test]
    fn whatever_is_dropped_gives_back_what_it_had() {
        let slots = Slots::new(1);
        for _ in 0..3 {
            let running = line_up(&slots, "a");
            let waiting = line_up(&slots, "b");
            let granted_unseen = line_up(&slots, "c");
            drop(waiting);
            drop(running);
            drop(granted_unseen);
        }
        let state = slots.state();
        assert_eq!((state.free, state.waiting, state.callers.len()), (1, 0, 0));
    }
}
