use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::*;
use crate::clock::ManualClock;
use crate::limits::address::AddressGroup;
use crate::names::key_id::ApiKeyId;

fn limiter(settings: Settings) -> (Limiter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_000_000).unwrap()));
    let limiter = Limiter::new(settings, Arc::clone(&clock) as Arc<dyn Clock>);
    (limiter, clock)
}

fn address(number: u32) -> Whose {
    Whose::Address(AddressGroup::of(Ipv4Addr::from(number).into()))
}

/// How many are admitted one after the other.
fn admitted(limiter: &Limiter, whose: &Whose, own: Option<Rate>) -> usize {
    let admitted = |_: &usize| limiter.take(whose, own).is_ok();
    (0..100_000).take_while(admitted).count()
}

#[test]
fn each_has_a_bucket_of_its_own() {
    let (limiter, clock) = limiter(Settings::default());
    let (one, other) = (
        Whose::Key(ApiKeyId::random()),
        Whose::Key(ApiKeyId::random()),
    );
    assert_eq!(admitted(&limiter, &one, None), 100);
    assert_eq!(admitted(&limiter, &other, None), 100);
    clock.advance(1);
    assert_eq!(admitted(&limiter, &one, None), 50);
    clock.advance(3_600);
    assert_eq!(admitted(&limiter, &one, None), 100);
}

#[test]
fn a_rate_of_its_own_goes_before_the_settings() {
    let off = Settings {
        key: None,
        ..Settings::default()
    };
    let key = Whose::Key(ApiKeyId::random());
    let own: Rate = "5/s burst 7".parse().unwrap();
    let (on, _) = limiter(Settings::default());
    assert_eq!(admitted(&on, &key, Some(own)), 7);
    let (off, _) = limiter(off);
    assert_eq!(off.take(&key, None), Ok(None));
    assert_eq!(admitted(&off, &key, Some(own)), 7);
}

#[test]
fn a_look_counts_nothing_and_a_charge_always_does() {
    let (limiter, _) = limiter(Settings::default());
    let whose = address(1);
    for _ in 0..100 {
        assert_eq!(limiter.look(&whose, None).unwrap().unwrap().remaining, 20);
    }
    for _ in 0..25 {
        limiter.charge(&whose, None);
    }
    let told = limiter.look(&whose, None).unwrap_err();
    // Five in debt and one to come, at one in six seconds.
    assert_eq!((told.kind, told.quota.retry_seconds), (Kind::Address, 36));
}

#[test]
fn a_flood_of_addresses_stays_bounded_and_pushes_nobody_out() {
    let (limiter, clock) = limiter(Settings::default());
    let first = address(0);
    assert_eq!(admitted(&limiter, &first, None), 20);
    let flood = 3 * MOST as u32;
    let refused = (1..flood).filter(|number| limiter.take(&address(*number), None).is_err());
    // Those without room share one bucket.
    assert_eq!(refused.count(), 2 * MOST - 20);
    assert_eq!(limiter.kept(Kind::Address), MOST);
    assert!(limiter.take(&first, None).is_err());
    // Other kinds have tables of their own.
    let key = Whose::Key(ApiKeyId::random());
    assert_eq!(admitted(&limiter, &key, None), 100);
    // Who failed once has a full bucket again after six seconds, and makes room; the first has not.
    clock.advance(7);
    assert!(limiter.take(&address(flood), None).is_ok());
    assert_eq!(limiter.kept(Kind::Address), 2);
    assert_eq!(admitted(&limiter, &first, None), 1);
}

#[test]
fn the_use_of_other_nodes_counts() {
    let (one, _) = limiter(Settings::default());
    let (other, clock) = limiter(Settings::default());
    let key = Whose::Key(ApiKeyId::random());
    let hear = || other.take_in(vec![("one".to_owned(), one.report())]);
    hear();
    assert_eq!(admitted(&one, &key, None), 100);
    hear();
    assert!(other.take(&key, None).is_err());
    // With its own rate, though this node has not met the key yet.
    let key = Whose::Key(ApiKeyId::random());
    let own: Rate = "1/s burst 10".parse().unwrap();
    assert_eq!(admitted(&one, &key, Some(own)), 10);
    hear();
    assert!(other.take(&key, Some(own)).is_err());
    clock.advance(2);
    assert_eq!(admitted(&other, &key, Some(own)), 2);
}

#[test]
fn after_a_silence_old_use_is_not_counted_all_at_once() {
    let (one, clock) = limiter(Settings::default());
    let (other, _) = limiter(Settings::default());
    let key = Whose::Key(ApiKeyId::random());
    let hear = || other.take_in(vec![("one".to_owned(), one.report())]);
    hear();
    for _ in 0..600 {
        clock.advance(1);
        admitted(&one, &key, None);
    }
    other.lose_touch();
    hear();
    assert_eq!(admitted(&other, &key, None), 100);
    clock.advance(1);
    admitted(&one, &key, None);
    hear();
    assert!(other.take(&key, None).is_err());
}

/// The bound of decision 21, at its worst: every node is asked as fast as it admits.
#[test]
fn nodes_together_stay_under_the_stated_bound() {
    let rate: Rate = "10/s burst 20".parse().unwrap();
    for nodes in [1_u64, 2, 3, 5] {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_000_000).unwrap()));
        let new = || Limiter::new(Settings::default(), Arc::clone(&clock) as Arc<dyn Clock>);
        let all: Vec<Limiter> = (0..nodes).map(|_| new()).collect();
        let key = Whose::Key(ApiKeyId::random());
        let share = || {
            let reports = all.iter().enumerate();
            let reports: Vec<_> = reports
                .map(|(number, one)| (number.to_string(), one.report()))
                .collect();
            for (number, one) in all.iter().enumerate() {
                let mut others = reports.clone();
                others.remove(number);
                one.take_in(others);
            }
        };
        share();
        let mut total = 0;
        let seconds = 60;
        for second in 0..=seconds {
            total += all
                .iter()
                .map(|one| admitted(one, &key, Some(rate)) as u64)
                .sum::<u64>();
            clock.advance(1);
            share();
            let delay = 1;
            let bound = 10 * (second + 1) + nodes * 20 + (nodes - 1) * 10 * delay;
            assert!(
                total <= bound,
                "{nodes} nodes, {second} s: {total} > {bound}"
            );
        }
        // And what is allowed is not held back: the debt of the first moment is earned by then.
        assert!(total >= 10 * seconds, "{nodes} nodes: {total}");
    }
}
