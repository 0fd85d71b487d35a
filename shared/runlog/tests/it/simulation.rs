//! Simulated runs with all faults at once, in virtual time. The same seed gives the same run.

mod check;
pub(crate) mod mutation;
mod owner;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use mutation::Mutation;
use world::{Report, play};

/// The number of seeds of a test run. `SIM_SEEDS` overrides it.
fn seeds() -> u64 {
    std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

fn fingerprint(report: &Report) -> u64 {
    let mut hasher = DefaultHasher::new();
    report.trace.hash(&mut hasher);
    hasher.finish()
}

/// Plays seeds on two threads. Each run has a single thread, so it stays deterministic.
fn play_all(seeds: std::ops::Range<u64>, mutation: Mutation) -> Vec<Report> {
    let half = seeds.start + (seeds.end - seeds.start) / 2;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| (half..seeds.end).map(|seed| play(seed, mutation)).collect::<Vec<_>>());
        let mut reports: Vec<Report> = (seeds.start..half).map(|seed| play(seed, mutation)).collect();
        reports.extend(other.join().unwrap());
        reports
    })
}

#[test]
fn every_run_keeps_every_guarantee() {
    let mut total = Report {
        seed: 0,
        violations: Vec::new(),
        trace: String::new(),
        events: 0,
        epochs: 0,
        succeeded: 0,
        failed: 0,
        storage_calls: 0,
        faults: 0,
    };
    for start in (0..seeds()).step_by(250) {
        for report in play_all(start..(start + 250).min(seeds()), Mutation::None) {
            assert!(
                report.violations.is_empty(),
                "{}\nseed {}: {:#?}",
                report.trace,
                report.seed,
                report.violations
            );
            total.events += report.events;
            total.epochs += report.epochs;
            total.succeeded += report.succeeded;
            total.failed += report.failed;
            total.storage_calls += report.storage_calls;
            total.faults += report.faults;
        }
    }
    let Report { events, epochs, succeeded, failed, storage_calls, faults, .. } = total;
    println!(
        "{} seeds: {events} events by {epochs} owners, {succeeded} operations succeeded, {failed} failed, \
         {storage_calls} storage calls, {faults} faults",
        seeds()
    );
    assert!(succeeded > failed, "{succeeded} operations succeeded, {failed} failed");
    assert!(
        faults > seeds() && epochs > usize::try_from(seeds()).unwrap(),
        "the simulation injected faults and changed owners"
    );
}

#[test]
fn the_same_seed_plays_the_same_run() {
    let mut different = BTreeSet::new();
    for seed in 0..25 {
        let one = play(seed, Mutation::None);
        let two = play(seed, Mutation::None);
        assert_eq!(fingerprint(&one), fingerprint(&two), "seed {seed}:\n{}\n\n{}", one.trace, two.trace);
        different.insert(fingerprint(&one));
    }
    assert_eq!(different.len(), 25, "other seeds give other runs");
}

/// Plays seeds with a broken rule until several runs have violated `guarantee`.
fn assert_caught(mutation: Mutation, guarantee: &str) {
    let mut caught: BTreeMap<&str, usize> = BTreeMap::new();
    for start in (0..1000).step_by(20) {
        for report in play_all(start..start + 20, mutation) {
            let rules: BTreeSet<_> = report.violations.iter().map(|(rule, _)| *rule).collect();
            for rule in rules {
                *caught.entry(rule).or_default() += 1;
            }
        }
        if caught.get(guarantee).is_some_and(|seeds| *seeds >= 3) {
            println!("{mutation:?}: {caught:?} of {} seeds", start + 20);
            return;
        }
    }
    panic!("{mutation:?} did not violate \"{guarantee}\" but {caught:?}");
}

#[test]
fn without_the_batch_check_events_are_stored_twice() {
    assert_caught(Mutation::NoBatchCheck, "only sent events are stored");
}

#[test]
fn without_the_epoch_check_a_fenced_owner_continues_to_write() {
    assert_caught(Mutation::NoEpochCheck, "fencing");
}

#[test]
fn showing_before_storing_is_detected() {
    assert_caught(Mutation::ShowBeforeStore, "shown is stored");
}

#[test]
fn an_unconditional_write_loses_acknowledged_events() {
    assert_caught(Mutation::Overwrite, "acknowledged is stored");
}

#[test]
fn a_terminal_event_moved_over_a_cancel_is_detected() {
    assert_caught(Mutation::RenumberOverCancel, "no success after a cancel");
}

#[test]
fn stale_reads_in_place_of_strongly_consistent_ones_are_detected() {
    assert_caught(Mutation::StaleReads, "readers");
}

#[test]
fn a_terminal_event_in_two_writes_is_detected() {
    assert_caught(Mutation::SplitTerminal, "one transaction");
}
