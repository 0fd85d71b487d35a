//! The faults that requests meet: planned one by one, or drawn at random at given rates.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::operation::Operation;

/// A fault that one request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing: the request is carried out and answered.
    None,
    /// The request is carried out, but its answer is lost.
    LostAnswer,
    /// The request is lost before it reaches the database.
    LostRequest,
    /// The request is carried out, and the connection stays open without an answer.
    Silence,
    /// The request is carried out, and answered with an internal error.
    InternalError,
    /// Another transaction has a row of this write: nothing is carried out.
    Contention,
    /// The table or an index takes no more requests for now: nothing is carried out.
    Throttled,
    /// Some keys of a `BatchGetItem` are returned as unprocessed.
    Unprocessed,
}

impl Fault {
    /// Returns `true` if DynamoDB can answer such a request in this way.
    pub(super) fn can_meet(self, operation: Operation) -> bool {
        match self {
            Self::None => true,
            Self::Contention => matches!(operation, Operation::Transaction | Operation::Write),
            Self::Unprocessed => operation == Operation::BatchRead,
            Self::LostAnswer | Self::LostRequest | Self::Silence | Self::InternalError | Self::Throttled => {
                operation != Operation::Other
            }
        }
    }
}

/// Faults among a thousand requests that can meet them, by kind.
pub type Rates = BTreeMap<Fault, u32>;

/// The faults of a database. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    plan: VecDeque<Fault>,
    rates: Rates,
    /// Every n-th transaction meets contention.
    every: Option<u64>,
    transactions: u64,
    /// Time until an index shows a write.
    index_delay: Duration,
    calls: u64,
    met: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Lets the next requests meet these faults, in order. A request that cannot meet the next one is carried out, and
    /// leaves it to a later request.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().plan.extend(faults);
    }

    /// Number of planned faults that no request has met.
    #[must_use]
    pub fn left(&self) -> usize {
        self.state().plan.len()
    }

    /// Draws a fault for each request that meets no planned one. An empty map ends this.
    pub fn set_rates(&self, rates: Rates) {
        self.state().rates = rates;
    }

    /// Cancels every `n`-th transaction with a conflict. `None` ends this.
    pub fn cancel_every(&self, n: Option<u64>) {
        self.state().every = n.filter(|n| *n > 0);
    }

    /// Lets an index show each write only after this time. The table itself is always consistent.
    pub fn delay_indexes(&self, delay: Duration) {
        self.state().index_delay = delay;
    }

    /// Number of requests so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Number of requests that met each fault so far.
    #[must_use]
    pub fn met(&self) -> BTreeMap<Fault, u64> {
        self.state().met.clone()
    }

    pub(super) fn index_delay(&self) -> Duration {
        self.state().index_delay
    }

    /// Returns the fault of the next request.
    pub(super) fn next(&self, operation: Operation) -> Fault {
        let mut state = self.state();
        if operation == Operation::Other {
            return Fault::None;
        }
        state.calls += 1;
        let fault = state.choose(operation);
        if fault != Fault::None {
            *state.met.entry(fault).or_default() += 1;
        }
        fault
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn choose(&mut self, operation: Operation) -> Fault {
        if let Some(planned) = self.plan.pop_front_if(|fault| fault.can_meet(operation)) {
            return planned;
        }
        if operation == Operation::Transaction {
            self.transactions += 1;
            if self.every.is_some_and(|n| self.transactions.is_multiple_of(n)) {
                return Fault::Contention;
            }
        }
        let mut dice = fastrand::u32(..1000);
        for (fault, rate) in self.rates.iter().filter(|(fault, _)| fault.can_meet(operation)) {
            if dice < *rate {
                return *fault;
            }
            dice -= rate;
        }
        Fault::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planned_fault_waits_for_a_request_that_can_meet_it() {
        let faults = Faults::default();
        faults.plan([Fault::Contention, Fault::Unprocessed]);
        assert_eq!(faults.next(Operation::Read), Fault::None);
        assert_eq!(faults.next(Operation::Write), Fault::Contention);
        assert_eq!(faults.next(Operation::Transaction), Fault::None);
        assert_eq!(faults.next(Operation::Other), Fault::None);
        assert_eq!(faults.next(Operation::BatchRead), Fault::Unprocessed);
        assert_eq!((faults.left(), faults.calls()), (0, 4), "other operations do not count");
    }

    #[test]
    fn every_nth_transaction_is_cancelled() {
        let faults = Faults::default();
        faults.cancel_every(Some(3));
        let met: Vec<bool> =
            (0..6).map(|_| faults.next(Operation::Transaction) == Fault::Contention).collect();
        assert_eq!(met, [false, false, true, false, false, true]);
        assert_eq!(faults.next(Operation::Write), Fault::None);
    }

    #[test]
    fn faults_are_met_at_their_rates() {
        let faults = Faults::default();
        faults.set_rates(Rates::from([(Fault::Throttled, 100), (Fault::Unprocessed, 900)]));
        for _ in 0..10_000 {
            faults.next(Operation::Write);
        }
        let met = faults.met();
        assert!((700..1300).contains(&met[&Fault::Throttled]), "{met:?}");
        assert_eq!(met.len(), 1, "a write has no keys that could be left");
    }
}
