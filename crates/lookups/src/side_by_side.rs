use std::future::poll_fn;
use std::task::Poll;

/// Does all of this at one time, in this task; what came of each, in the order of `works`.
pub async fn side_by_side<F: Future>(works: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let works = works.into_iter().map(|work| (Box::pin(work), None));
    let mut works: Vec<_> = works.collect();
    poll_fn(|cx| {
        for (work, done) in works.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                *done = Some(output);
            }
        }
        match works.iter().all(|(_, done)| done.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    works.into_iter().filter_map(|(_, done)| done).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_take_as_long_as_the_slowest_and_keep_their_order() {
        let start = Instant::now();
        let wait = |seconds| async move {
            sleep(Duration::from_secs(seconds)).await;
            seconds
        };
        assert_eq!(side_by_side([3, 1, 2].map(wait)).await, [3, 1, 2]);
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        assert!(side_by_side([0; 0].map(wait)).await.is_empty());
    }
}
