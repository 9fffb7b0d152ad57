use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use bitrouter_runtime::ManualClock;
use proptest::prelude::*;

use super::{
    disk::Append,
    frame::Kind,
    log::{decode_entry, segment_name},
    recover::{Recovered, recover},
    *,
};

mod room;

/// A directory in memory that can be full.
#[derive(Debug, Default)]
struct Memory {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Bytes that can still be written.
    room: Arc<AtomicU64>,
    /// How often names were waited for.
    names_synced: AtomicU64,
}

#[derive(Debug)]
struct MemoryFile {
    name: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    room: Arc<AtomicU64>,
}

impl Memory {
    fn new() -> Arc<Self> {
        let memory = Self::default();
        memory.room.store(u64::MAX, Ordering::SeqCst);
        Arc::new(memory)
    }

    fn restore(files: BTreeMap<String, Vec<u8>>) -> Arc<dyn Fs> {
        let memory = Self::new();
        *memory.files.lock() = files;
        memory
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Fs for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().filter(|name| !name.contains('/')).cloned().collect())
    }

    fn read(&self, name: &str, offset: u64, at_most: u64) -> io::Result<Vec<u8>> {
        let files = self.files.lock();
        let file = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap().min(file.len());
        let most = usize::try_from(at_most).unwrap_or(usize::MAX);
        Ok(file[from..].iter().copied().take(most).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        if self.room.load(Ordering::SeqCst) == 0 {
            return Err(full());
        }
        if self.files.lock().contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.files.lock().insert(name.to_owned(), Vec::new());
        Ok(Arc::new(MemoryFile {
            name: name.to_owned(),
            files: Arc::clone(&self.files),
            room: Arc::clone(&self.room),
        }))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.names_synced.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut files = self.files.lock();
        files.get_mut(name).unwrap().truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.room.load(Ordering::SeqCst) == 0 {
            return Err(full());
        }
        self.files.lock().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.files.lock().remove(name).ok_or(io::ErrorKind::NotFound)?;
        let freed = self.room.load(Ordering::SeqCst).saturating_add(removed.len() as u64);
        self.room.store(freed, Ordering::SeqCst);
        Ok(())
    }

    fn set_aside(&self, name: &str, directory: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let bytes = files.remove(name).unwrap();
        files.insert(format!("{directory}/{name}"), bytes);
        Ok(())
    }
}

impl Append for MemoryFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let room = self.room.load(Ordering::SeqCst);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.files.lock().get_mut(&self.name).unwrap().extend_from_slice(&bytes[..fits]);
        self.room.store(room.saturating_sub(fits as u64), Ordering::SeqCst);
        if fits < bytes.len() { Err(full()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        if self.room.load(Ordering::SeqCst) == 0 { Err(full()) } else { Ok(()) }
    }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn usage(n: u128) -> v1::Usage {
    v1::Usage {
        event_id: id(n).to_string(),
        outcome: v1::Outcome::Completed.into(),
        ..v1::Usage::default()
    }
}

/// What a request writes before its one attempt.
fn draft(n: u128) -> v1::Usage {
    v1::Usage {
        outcome: v1::Outcome::Unspecified.into(),
        attempts: vec![v1::Attempt::default()],
        ..usage(n)
    }
}

fn open(fs: &Arc<dyn Fs>, segment_bytes: u64) -> Recovered {
    recover(fs, segment_bytes, id(0xAAAA), Timestamp::from_millis(1)).unwrap()
}

/// Every entry in the files, in order: number, request, outcome.
fn entries(fs: &dyn Fs, log: &Log) -> Vec<(u64, Uuid, v1::Outcome)> {
    let mut all = Vec::new();
    for segment in log.segments() {
        let bytes = fs.read(&segment_name(segment.number), 0, u64::MAX).unwrap();
        for frame in frame::frames(&bytes, 0).filter(|frame| frame.kind == Kind::Entry) {
            let (seq, usage) = decode_entry(frame.payload).unwrap();
            all.push((seq, usage.event_id.parse().unwrap(), usage.outcome()));
        }
    }
    all
}

fn ids(entries: &[(u64, Uuid, v1::Outcome)]) -> Vec<u128> {
    entries.iter().map(|(_, id, _)| id.as_u128()).collect()
}

fn on(fs: Arc<dyn Fs>, max_bytes: u64, segment_bytes: u64) -> (Spool, ManualClock) {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
    let settings = SpoolSettings { max_bytes, segment_bytes, ..SpoolSettings::new("memory") };
    (Spool::open_on(fs, settings, clock, &Entropy::seeded(1)).unwrap(), hand)
}

#[test]
fn a_request_that_died_with_the_process_leaves_one_record() {
    let fs: Arc<dyn Fs> = Memory::new();
    let mut log = open(&fs, 1 << 20).log;
    let now = Timestamp::default();
    log.intend(id(1), &draft(1).encode_to_vec(), now).unwrap();
    log.intend(id(2), &draft(2).encode_to_vec(), now).unwrap();
    log.commit(id(2), &usage(2).encode_to_vec(), now).unwrap();
    drop(log);
    for _ in 0..2 {
        let recovered = open(&fs, 1 << 20);
        let crashed = (1, id(1), v1::Outcome::NodeCrashed);
        let whole = (1, id(2), v1::Outcome::Completed);
        assert_eq!(entries(&*fs, &recovered.log), [whole, (2, crashed.1, crashed.2)]);
    }
}

#[test]
fn damage_in_the_middle_sets_the_log_aside_and_keeps_the_rest() {
    let memory = Memory::new();
    let fs: Arc<dyn Fs> = memory.clone();
    let mut log = open(&fs, 1 << 20).log;
    for n in 1..=3 {
        log.intend(id(n), &draft(n).encode_to_vec(), Timestamp::default()).unwrap();
        log.commit(id(n), &usage(n).encode_to_vec(), Timestamp::default()).unwrap();
    }
    let before = log.log_id();
    drop(log);
    let name = segment_name(1);
    let bytes = memory.files.lock().get(&name).unwrap().clone();
    let second = frame::frames(&bytes, 0).filter(|it| it.kind == Kind::Entry).nth(1).unwrap();
    memory.files.lock().get_mut(&name).unwrap()[second.end - 1] ^= 1;
    let recovered = recover(&fs, 1 << 20, id(0xBBBB), Timestamp::from_millis(2)).unwrap();
    assert!(recovered.renewed.unwrap().contains("damaged"));
    assert_ne!(recovered.log.log_id(), before);
    let found = entries(&*fs, &recovered.log);
    assert_eq!(ids(&found), [1, 3, 2]);
    assert_eq!(found[2].2, v1::Outcome::NodeCrashed, "its record was damaged, its intent was not");
    assert!(memory.files.lock().keys().any(|name| name.starts_with("quarantine-")));
    assert!(open(&fs, 1 << 20).renewed.is_none(), "the new log is whole");
}

#[test]
fn a_full_disk_refuses_requests_and_loses_no_record() {
    let memory = Memory::new();
    let (spool, _) = on(memory.clone(), 1 << 20, 1 << 16);
    spool.intend(id(1), &draft(1)).unwrap();
    memory.room.store(10, Ordering::SeqCst);
    spool.commit(id(1), &usage(1));
    assert!(spool.check().is_err(), "refused while the disk is full");
    assert!(spool.intend(id(2), &draft(2)).is_err());
    spool.commit(id(3), &usage(3));
    memory.room.store(u64::MAX, Ordering::SeqCst);
    spool.close();
    assert!(spool.check().is_ok());
    let fs: Arc<dyn Fs> = memory;
    assert_eq!(ids(&entries(&*fs, &spool.0.state.lock().log)), [1, 3]);
}

#[test]
fn the_cap_refuses_new_requests_but_takes_their_records() {
    let (spool, _) = on(Memory::new(), 400, 1 << 16);
    for n in 1..=3 {
        spool.intend(id(n), &draft(n)).unwrap();
    }
    for n in 4..100 {
        if spool.intend(id(n), &draft(n)).is_err() {
            break;
        }
    }
    let error = spool.check().unwrap_err();
    assert!(matches!(error, SpoolError::Full { max_bytes: 400, .. }), "{error}");
    spool.commit(id(1), &usage(1));
    assert_eq!(spool.status().unacked, 1);
    spool.close();
}

#[test]
fn acknowledged_segments_go_once_they_are_old_and_open_requests_stay() {
    let memory = Memory::new();
    let (spool, hand) = on(memory.clone(), 1 << 20, 200);
    spool.intend(id(99), &draft(99)).unwrap();
    for n in 1..=20 {
        spool.intend(id(n), &draft(n)).unwrap();
        spool.commit(id(n), &usage(n));
    }
    spool.0.sync().unwrap();
    let files = || memory.files.lock().keys().filter(|name| name.contains(".log")).count();
    let before = files();
    spool.0.acknowledge(20);
    spool.0.prune().unwrap();
    assert_eq!(files(), before, "too young");
    hand.advance(Duration::from_secs(601));
    spool.0.prune().unwrap();
    assert!(files() < 4, "{} of {before} files", files());
    assert_eq!(spool.status().oldest_unacked_ms, 0);
    spool.close();
    drop(spool);
    let fs: Arc<dyn Fs> = memory;
    let recovered = open(&fs, 200);
    assert_eq!((recovered.acked, recovered.crashed), (20, 1));
    let left = entries(&*fs, &recovered.log);
    assert_eq!(left.last().unwrap(), &(21, id(99), v1::Outcome::NodeCrashed));
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = crate::fixtures::spool(directory.path());
    let settings = SpoolSettings::new(directory.path());
    let second = Spool::open(settings, Clock::system(), &Entropy::system());
    let error = second.unwrap_err();
    assert!(
        matches!(&error, SpoolError::Disk(error) if error.to_string().contains("another process")),
        "{error:?}"
    );
    first.close();
}

#[tokio::test]
async fn with_durability_power_an_attempt_waits_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = SpoolSettings::new(directory.path());
    settings.durability = Durability::Power;
    let spool = Spool::open(settings, Clock::system(), &Entropy::system()).unwrap();
    let position = spool.intend(id(1), &draft(1)).unwrap();
    spool.durable(position).await.unwrap();
    assert!(spool.0.durable.borrow().position >= position.0);
    spool.close();
}

#[tokio::test]
async fn who_waits_for_a_disk_that_fails_is_told() {
    let memory = Memory::new();
    let settings = SpoolSettings { durability: Durability::Power, ..SpoolSettings::new("memory") };
    let spool = Spool::open_on(memory.clone(), settings, Clock::system(), &Entropy::seeded(1));
    let spool = spool.unwrap();
    let position = spool.intend(id(1), &draft(1)).unwrap();
    memory.room.store(0, Ordering::SeqCst);
    let waited = tokio::time::timeout(Duration::from_secs(10), spool.durable(position)).await;
    // The disk may have been quicker than the test.
    assert!(matches!(waited, Ok(Ok(()) | Err(SpoolError::Trouble(_)))), "{waited:?}");
    spool.close();
}

#[test]
fn entries_are_read_back_across_segments_with_their_hash() {
    let (spool, _) = on(Memory::new(), 1 << 30, 300);
    for n in 1..=2_500 {
        spool.intend(id(n), &draft(n)).unwrap();
        spool.commit(id(n), &usage(n));
    }
    spool.0.sync().unwrap();
    let mut cursor = spool.0.seek(0).unwrap().unwrap();
    let (mut hash, mut count) = ([0; 32], 0);
    loop {
        assert_eq!((cursor.seq, cursor.hash), (count + 1, hash));
        let run = spool.0.next_run(cursor).unwrap();
        if run.entries.is_empty() {
            break;
        }
        for entry in &run.entries {
            hash = log::chain(&hash, entry);
            count += 1;
            assert_eq!(decode_entry(entry).unwrap().0, count);
        }
        cursor = run.next;
    }
    assert_eq!(count, 2_500);
    let middle = spool.0.seek(1_234).unwrap().unwrap();
    assert_eq!(middle.seq, 1_235);
    assert!(spool.0.seek(2_501).unwrap().is_none(), "the log does not reach there");
    spool.close();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Intend(u128),
    Commit(u128),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12_u128).prop_map(Step::Intend),
        4 => (0..12_u128).prop_map(Step::Commit),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    /// Whatever was written before the cut is there after it, once, and nothing else is.
    #[test]
    fn a_cut_at_any_byte_loses_no_record_and_doubles_none(
        steps in steps(),
        segment_bytes in prop_oneof![Just(150_u64), Just(100_000)],
        cut in 0.0_f64..1.0,
    ) {
        let memory = Memory::new();
        let fs: Arc<dyn Fs> = memory.clone();
        let mut log = open(&fs, segment_bytes).log;
        let (mut intended, mut committed) = (BTreeSet::new(), BTreeSet::new());
        let (mut next, mut sure) = (0, 0);
        for step in steps {
            match step {
                Step::Intend(n) => {
                    let n = next * 100 + n;
                    if committed.contains(&n) {
                        continue;
                    }
                    log.intend(id(n), &draft(n).encode_to_vec(), Timestamp::default()).unwrap();
                    intended.insert(n);
                }
                Step::Commit(n) => {
                    let n = next * 100 + n;
                    if committed.insert(n) {
                        log.commit(id(n), &usage(n).encode_to_vec(), Timestamp::default()).unwrap();
                        intended.insert(n);
                    }
                }
                Step::Restart => {
                    next += 1;
                    log = open(&fs, segment_bytes).log;
                    committed.clone_from(&intended);
                    sure = committed.len();
                }
            }
        }
        let last = segment_name(log.segments().next_back().unwrap().number);
        drop(log);
        let mut files = memory.files.lock().clone();
        let before = Memory::restore(files.clone());
        let bytes = files.get_mut(&last).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any byte will do")]
        let at = (bytes.len() as f64 * cut) as usize;
        bytes.truncate(at);
        let after = Memory::restore(files);
        let (whole, crashed) = (open(&before, segment_bytes), open(&after, segment_bytes));
        prop_assert!(crashed.renewed.is_none());
        let found = entries(&*after, &crashed.log);
        let numbers: Vec<_> = found.iter().map(|(seq, ..)| *seq).collect();
        prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>());
        let unique: BTreeSet<_> = ids(&found).into_iter().collect();
        prop_assert_eq!(unique.len(), found.len(), "a request has two records");
        prop_assert!(unique.is_subset(&intended));
        prop_assert!(found.len() >= sure, "a record from before the last start is gone");
        let all = entries(&*before, &whole.log);
        prop_assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>(), intended);
    }
}

#[test]
#[ignore = "measures; run with --release or --profile fast"]
fn an_append_takes_microseconds() {
    let directory = tempfile::tempdir().unwrap();
    let spool = crate::fixtures::spool(directory.path());
    let (clock, count) = (Clock::system(), 100_000_u32);
    let mut record = draft(1);
    record.requested_model = "anthropic:claude-sonnet-4-5".to_owned();
    record.user_id = "someone".to_owned();
    let start = clock.instant();
    for n in 0..count {
        spool.intend(id(n.into()), &record).unwrap();
    }
    let intents = clock.instant() - start;
    let start = clock.instant();
    for n in 0..count {
        spool.commit(id(n.into()), &record);
    }
    println!("intent {:?}, record {:?}", intents / count, (clock.instant() - start) / count);
    spool.close();
}
