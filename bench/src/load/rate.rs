//! Requests at a fixed rate. Latency counts from the time at which a request was due, so that a slow
//! answer cannot hide the ones that waited behind it.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{Arguments, Window, request};
use crate::{clock::now_us, http1::Connection, stats::Samples};

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let request = Rc::new(request::build(arguments));
    let mut idle = Vec::new();
    for _ in 0..arguments.connections {
        idle.push(Connection::open(&arguments.target).await?);
    }
    let idle = Rc::new(RefCell::new(idle));
    let samples = Rc::new(RefCell::new(Samples::default()));
    let window = Window::open(arguments.seconds);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(arguments.rate)?);
    let mut running = tokio::task::JoinSet::new();
    while !window.is_over() {
        ticks.tick().await;
        let due = now_us();
        let Some(mut connection) = idle.borrow_mut().pop() else {
            window.fail();
            continue;
        };
        let (request, idle) = (Rc::clone(&request), Rc::clone(&idle));
        let (samples, window) = (Rc::clone(&samples), Rc::clone(&window));
        running.spawn_local(async move {
            match connection.exchange(&request, |_| {}).await {
                Ok(200) if window.counts(due) => {
                    samples.borrow_mut().push(now_us().saturating_sub(due));
                }
                Ok(200) => {}
                Ok(_) | Err(_) => window.fail(),
            }
            idle.borrow_mut().push(connection);
        });
    }
    while running.join_next().await.is_some() {}
    let mut samples = samples.borrow_mut();
    Ok(serde_json::json!({ "failed": window.failed.get(), "latency_ms": samples.summary() }))
}
