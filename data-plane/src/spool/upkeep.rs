//! The thread that tends the log: it deletes what is acknowledged, tries again what was refused, and
//! waits for the disk.

use std::{io, sync::Weak, time::Duration};

use super::{Inner, SpoolSettings, State, recover};

/// How often the disk is waited for.
const SYNC_EVERY: Duration = Duration::from_millis(50);
/// How often the acknowledged number is noted. It spares a start without the control plane some work,
/// and nothing depends on it.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// How many ages of unacknowledged entries are remembered.
const MAX_AGES: usize = 4_096;

/// Waits for the disk until the log is closed or nobody has it any more.
pub(super) fn keep(inner: &Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        let is_closing = {
            let mut state = inner.state.lock();
            if !state.sync_at_once && !state.is_closing {
                inner.wake.wait_for(&mut state, SYNC_EVERY);
            }
            state.sync_at_once = false;
            state.is_closing
        };
        inner.tend();
        if is_closing {
            return;
        }
    }
}

impl State {
    /// What cannot be deleted takes room, and keeps no record from being written.
    fn warn_when_kept(&mut self, pruned: io::Result<()>) {
        let was_warned = std::mem::replace(&mut self.warned_of.pruning, pruned.is_err());
        if let (Err(error), false) = (pruned, was_warned) {
            tracing::warn!(%error, "acknowledged usage cannot be deleted");
        }
    }
}

impl Inner {
    /// One round: old segments are deleted, what was refused is tried again, the disk waited for.
    ///
    /// None waits for another to succeed: a full disk is emptied by the first, whatever the others do.
    pub(super) fn tend(&self) {
        let pruned = self.prune();
        let retried = self.retry();
        let synced = self.sync();
        self.note_acked();
        let mut state = self.state.lock();
        state.warn_when_kept(pruned);
        match retried.and(synced) {
            Ok(()) if state.refused.is_empty() => {
                if state.disk_trouble.take().is_some() {
                    tracing::info!("the usage log can be written again");
                }
            }
            Ok(()) => {}
            Err(error) => {
                if state.disk_trouble.is_none() {
                    tracing::error!(%error, "the usage log cannot be written, requests are refused");
                }
                state.disk_trouble = Some(error.to_string());
                // Whoever waits for the disk is told.
                self.durable.send_modify(|_| {});
            }
        }
        self.warn_when_filling(&mut state);
    }

    fn warn_when_filling(&self, state: &mut State) {
        let (bytes, max_bytes) = (state.log.bytes(), self.settings.max_bytes);
        let is_filling = bytes >= max_bytes / 5 * 4;
        if is_filling && !state.warned_of.filling {
            tracing::warn!(bytes, max_bytes, "the usage log is filling up");
        }
        state.warned_of.filling = is_filling;
    }

    fn retry(&self) -> io::Result<()> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        while let Some((id, usage)) = state.refused.pop_front() {
            if let Err(error) = state.log.commit(id, &usage, now) {
                state.refused.push_front((id, usage));
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let now = self.clock.now();
        let (unsynced, reach) = {
            let mut state = self.state.lock();
            if state.log.reach().position == self.durable.borrow().position {
                return Ok(());
            }
            let (unsynced, reach) = state.log.take_unsynced();
            let newest = state.ages.back().map_or_else(|| *self.acked.borrow(), |(seq, _)| *seq);
            if reach.seq > newest && state.ages.len() < MAX_AGES {
                state.ages.push_back((reach.seq, now));
            }
            (unsynced, reach)
        };
        if let Err(error) = unsynced.sync(&*self.fs) {
            self.state.lock().log.not_synced(unsynced);
            return Err(error);
        }
        self.durable.send_replace(reach);
        Ok(())
    }

    pub(super) fn prune(&self) -> io::Result<()> {
        let (acked, now) = (*self.acked.borrow(), self.clock.now());
        let SpoolSettings { keep, max_bytes, .. } = self.settings;
        let mut state = self.state.lock();
        // A disk that is full before the cap is reached needs the room at once.
        let most = if state.disk_trouble.is_some() { 0 } else { max_bytes / 5 * 4 };
        state.log.prune(acked, keep, most, now)
    }

    fn note_acked(&self) {
        let (acked, now) = (*self.acked.borrow(), self.clock.now());
        let (log_id, is_due) = {
            let state = self.state.lock();
            let (noted, at) = state.noted;
            let is_due = state.is_closing || now.since(at) >= NOTE_EVERY;
            (state.log.log_id(), is_due && noted != acked)
        };
        if !is_due {
            return;
        }
        let written = recover::write_acked(&*self.fs, log_id, acked);
        let mut state = self.state.lock();
        state.noted.1 = now;
        match written {
            Ok(()) => state.noted.0 = acked,
            Err(error) => tracing::warn!(%error, "what is acknowledged cannot be noted"),
        }
    }
}
