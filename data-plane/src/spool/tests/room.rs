//! Full disks, and segments that are begun and left behind.

use super::*;

/// A log with twenty records in many segments, all on the medium, and nobody who tends it.
fn left_alone(memory: &Arc<Memory>) -> Spool {
    let (spool, _) = on(memory.clone(), 1 << 20, 200);
    for n in 1..=20 {
        spool.intend(id(n), &draft(n)).unwrap();
        spool.commit(id(n), &usage(n));
    }
    spool.close();
    spool
}

#[test]
fn a_full_disk_is_emptied_of_what_is_acknowledged() {
    let memory = Memory::new();
    let spool = left_alone(&memory);
    spool.0.acknowledge(20);
    memory.room.store(0, Ordering::SeqCst);
    spool.commit(id(21), &usage(21));
    assert!(spool.check().is_err());
    spool.0.tend();
    assert!(spool.check().is_ok(), "{:?}", spool.status());
    let fs: Arc<dyn Fs> = memory;
    assert_eq!(ids(&entries(&*fs, &spool.0.state.lock().log)).last(), Some(&21));
}

#[test]
fn what_is_only_tidying_up_refuses_no_request() {
    let memory = Memory::new();
    let spool = left_alone(&memory);
    spool.0.acknowledge(20);
    memory.room.store(0, Ordering::SeqCst);
    spool.0.tend();
    assert!(spool.check().is_ok(), "the acknowledged number cannot be noted");
    memory.files.lock().remove(&segment_name(1));
    spool.0.state.lock().log.prune(20, Duration::ZERO, 0, Timestamp::from_millis(1)).unwrap();
    assert_eq!(memory.files.lock().keys().filter(|name| name.contains(".log")).count(), 1);
}

#[test]
fn a_start_on_a_full_disk_makes_room_and_forgets_nothing_open() {
    for open_request in [false, true] {
        let memory = Memory::new();
        let spool = left_alone(&memory);
        if open_request {
            spool.intend(id(99), &draft(99)).unwrap();
        }
        spool.0.acknowledge(20);
        spool.close();
        spool.0.tend();
        drop(spool);
        memory.room.store(0, Ordering::SeqCst);
        let fs: Arc<dyn Fs> = memory.clone();
        let recovered = open(&fs, 200);
        assert_eq!((recovered.acked, recovered.crashed), (20, usize::from(open_request)));
        assert!(memory.files.lock().keys().filter(|name| name.contains(".log")).count() <= 3);
    }
}

#[test]
fn the_beginning_of_a_segment_that_was_left_behind_is_replaced() {
    let memory = Memory::new();
    let (spool, _) = on(memory.clone(), 1 << 20, 200);
    memory.files.lock().insert(segment_name(2), b"half a head".to_vec());
    for n in 1..=20 {
        spool.commit(id(n), &usage(n));
    }
    assert!(spool.check().is_ok());
    spool.close();
    let fs: Arc<dyn Fs> = memory;
    assert_eq!(open(&fs, 200).renewed, None);
}

#[test]
fn a_new_segments_name_is_waited_for_with_its_bytes_and_not_by_requests() {
    let memory = Memory::new();
    let spool = left_alone(&memory);
    let (segments, waited) = (spool.status().bytes, memory.names_synced.load(Ordering::SeqCst));
    for n in 21..=40 {
        spool.commit(id(n), &usage(n));
    }
    assert!(spool.status().bytes > segments + 200);
    assert_eq!(memory.names_synced.load(Ordering::SeqCst), waited);
    spool.0.sync().unwrap();
    assert_eq!(memory.names_synced.load(Ordering::SeqCst), waited + 1);
}

#[test]
fn a_segment_of_which_nothing_is_on_the_medium_is_read_as_empty() {
    let spool = left_alone(&Memory::new());
    let durable = spool.0.durable.borrow().segment.0;
    let last = || *spool.0.state.lock().log.segments().next_back().unwrap();
    for n in 21..=40 {
        spool.commit(id(n), &usage(n));
    }
    assert!(last().number > durable);
    let cursor = spool.0.seek(last().first_seq - 1).unwrap().unwrap();
    assert!(spool.0.next_run(cursor).unwrap().entries.is_empty());
    spool.0.sync().unwrap();
    assert!(!spool.0.next_run(cursor).unwrap().entries.is_empty());
}
