//! Several records at one moment, and records that somebody knows to be newer.

use futures_util::future::join_all;

use super::*;
use crate::clock::Stopwatch;
use crate::store::port;

/// Three aliases that are stored and not cached.
async fn three(stack: &Stack) -> ([Uuid; 3], [RecordKey; 3]) {
    let ids = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    let keys = ids.map(RecordKey::Alias);
    for key in &keys {
        stack.set(key, some_record()).await;
    }
    (ids, keys)
}

/// What all three say, as [`port::read_three`] finds them.
async fn read(store: &dyn Store, [a, b, c]: [Uuid; 3]) -> Result<[Option<Record>; 3], StoreError> {
    let (a, b, c) = port::read_three::<Alias, Alias, Alias>(store, &a, &b, &c).await?;
    Ok([a, b, c].map(|alias| alias.map(Record::Alias)))
}

#[tokio::test]
async fn several_records_are_one_wait() {
    let stack = Stack::new();
    let (ids, keys) = three(&stack).await;
    let mut held = keys.each_ref().map(|key| stack.slow.hold(Point::Read, key));
    let mut reader = Box::pin(read(&*stack.cached, ids));
    assert!((&mut reader).now_or_never().is_none(), "the loads are held");
    for load in &mut held {
        load.reached().await;
    }
    drop(held);
    assert!(in_time(reader).await.is_ok());
    assert_eq!(stack.slow.reads(), 3);
    let again = read(&*stack.cached, ids).now_or_never();
    assert!(again.expect("a hit waits for nothing").is_ok());
    assert_eq!(stack.slow.reads(), 3);
}

/// The first was there when it changed, and the last one was still on its way.
#[tokio::test]
async fn what_changed_until_the_last_record_was_there_is_read_again() {
    for (late, changed) in [(2, 0), (2, 1), (0, 2), (1, 0)] {
        let stack = Stack::new();
        let (ids, keys) = three(&stack).await;
        let load = stack.slow.hold(Point::Read, &keys[late]);
        let mut reader = Box::pin(read(&*stack.cached, ids));
        assert!((&mut reader).now_or_never().is_none(), "the load is held");
        let newer = some_record();
        let write = stack.replacing(&keys[changed], newer.clone()).await;
        stack.cached.put(write).await.unwrap();
        drop(load);
        let found = in_time(reader).await.unwrap();
        assert_eq!(found[changed], newer, "late: {late}, changed: {changed}");
        assert!(found.iter().all(Option::is_some));
    }
}

#[tokio::test]
async fn records_that_never_hold_still_together_are_unavailable() {
    let stack = Stack::new();
    let (ids, keys) = three(&stack).await;
    let mut reader = Box::pin(read(&*stack.cached, ids));
    for _ in 0..=MAX_TRIES {
        let load = stack.slow.hold(Point::Read, &keys[2]);
        if let Some(read) = (&mut reader).now_or_never() {
            assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
            return;
        }
        for key in [&keys[0], &keys[2]] {
            stack.cached.freshness().invalidate(key);
        }
        drop(load);
    }
    panic!("the number of tries is bounded");
}

#[tokio::test]
async fn who_knows_better_than_the_cache_is_believed_once_in_a_while() {
    let stack = Stack::new();
    let (key, newer) = (some_key(), some_record());
    assert_eq!(look(&stack.cached, &key).await.unwrap(), None);
    stack.set(&key, newer.clone()).await;
    assert_eq!(look(&stack.cached, &key).await.unwrap(), None, "cached");
    let watch = Stopwatch::start();
    while stack.cached.reread(&key).await.unwrap().is_none() {
        assert!(watch.seconds() < 10.0, "it is never read again");
        tokio::task::yield_now().await;
    }
    let found = look(&stack.cached, &key).await.unwrap().unwrap();
    assert_eq!(Some(found.record), newer);
    let (reads, watch) = (stack.slow.reads(), Stopwatch::start());
    for _ in 0..100 {
        stack.cached.reread(&key).await.unwrap();
    }
    let most = watch.elapsed().div_duration_f64(REREAD_AFTER) as usize + 1;
    assert!(stack.slow.reads() <= reads + most, "read a moment ago");
}

#[tokio::test]
async fn who_can_tell_that_the_cache_is_old_waits_for_what_is_new() {
    let stack = Stack::new();
    let (key, newer) = (some_key(), some_record());
    assert_eq!(look(&stack.cached, &key).await.unwrap(), None);
    stack.set(&key, newer.clone()).await;
    let found = stack.cached.read_newer(&key).await.unwrap().unwrap();
    assert_eq!(Some(found.record), newer);
    let (reads, watch) = (stack.slow.reads(), Stopwatch::start());
    let crowd = (0..100).map(|_| stack.cached.read_newer(&key));
    for newer in join_all(crowd).await {
        assert!(newer.unwrap().is_some());
    }
    let most = watch.elapsed().div_duration_f64(REREAD_AFTER) as usize + 1;
    assert!(
        stack.slow.reads() <= reads + most,
        "one read for all of them"
    );
}
