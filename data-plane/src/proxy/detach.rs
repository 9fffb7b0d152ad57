//! Work that goes on without its client: bounded in number and in time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::task::TaskTracker;

/// Runs what is left of an answer after its client left. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Detached {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    slots: Arc<Semaphore>,
    most: usize,
    patience: Duration,
    tasks: TaskTracker,
    // Drops happen anywhere, also where no runtime is entered.
    runtime: Handle,
}

impl Detached {
    pub(crate) fn new(most: usize, patience: Duration, tasks: TaskTracker) -> Self {
        let slots = Arc::new(Semaphore::new(most));
        let runtime = Handle::current();
        Self { inner: Arc::new(Inner { slots, most, patience, tasks, runtime }) }
    }

    /// How much of it goes on now.
    pub(crate) fn running(&self) -> usize {
        self.inner.most.saturating_sub(self.inner.slots.available_permits())
    }

    /// Runs the work as a task, for so long at most. Where too much goes on already, it is dropped at
    /// once: whatever it owns has to settle itself when dropped.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(slot) = Arc::clone(&self.inner.slots).try_acquire_owned() else {
            tracing::debug!("too many answers are read without their clients: one is cut off");
            return;
        };
        let patience = self.inner.patience;
        let bounded = async move {
            // Cut off, it settles as it is dropped.
            tokio::time::timeout(patience, work).await.ok();
            drop(slot);
        };
        self.inner.tasks.spawn_on(bounded, &self.inner.runtime);
    }
}

/// What a request and its work, which may go on without a client, tell each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Company(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    client_left: AtomicBool,
    is_billed: AtomicBool,
}

impl Company {
    /// True once the client has left: nothing new is to be begun for it.
    pub(crate) fn has_left(&self) -> bool {
        self.0.client_left.load(Ordering::Acquire)
    }

    /// Says whether what is under way will be billed, so that its end is worth knowing.
    pub(crate) fn set_billed(&self, is_billed: bool) {
        self.0.is_billed.store(is_billed, Ordering::Release);
    }
}

/// Work for a client that goes on when the client leaves, if it will be billed. What it gives then
/// goes to `leftover`.
pub(crate) struct Accompanied<T: 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    company: Company,
    leftover: fn(T) -> Pin<Box<dyn Future<Output = ()> + Send>>,
    detached: Detached,
}

impl<T: 'static> Accompanied<T> {
    pub(crate) fn new(
        work: Pin<Box<dyn Future<Output = T> + Send>>,
        company: Company,
        leftover: fn(T) -> Pin<Box<dyn Future<Output = ()> + Send>>,
        detached: Detached,
    ) -> Self {
        Self { work: Some(work), company, leftover, detached }
    }
}

impl<T: 'static> Future for Accompanied<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let done = ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(done)
    }
}

impl<T: 'static> Drop for Accompanied<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        self.company.0.client_left.store(true, Ordering::Release);
        // A panic has broken the work; what will not be billed need not be waited for.
        if std::thread::panicking() || !self.company.0.is_billed.load(Ordering::Acquire) {
            return;
        }
        let leftover = self.leftover;
        self.detached.run(async move { leftover(work.await).await });
    }
}
