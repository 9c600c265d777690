//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long tests wait for what should happen at once: long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(5);

/// Asks `probe` until it gives a value. Panics with `what` when `deadline` has passed.
///
/// ```ignore
/// let first = until(SOON, "the model server got a request", async || server.requests().await.into_iter().next()).await;
/// ```
pub async fn until<T>(deadline: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
