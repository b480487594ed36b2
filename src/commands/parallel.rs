//! Many instances at once, on every processor.

use std::num::NonZero;
use std::panic;
use std::thread::{self, ScopedJoinHandle};

/// How many instances a thread makes before they are taken: until then they are held in memory.
const EACH: usize = 8;

/// Makes something of each item, and takes what was made in the order of the items.
///
/// # Errors
/// The first one in that order. Some items after it may have been made by then, and are not taken.
pub(super) fn in_order<I: Sync, M: Send>(
    items: &[I],
    make: impl Fn(&I) -> anyhow::Result<M> + Sync,
    mut take: impl FnMut(M) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // To ask for the processors and to start a thread takes longer than a small instance.
    if let [item] = items {
        return take(make(item)?);
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    for batch in items.chunks(threads * EACH) {
        let results: Vec<_> = thread::scope(|scope| {
            let make = &make;
            let workers: Vec<_> = batch
                .chunks(EACH)
                .map(|part| scope.spawn(move || part.iter().map(make).collect::<Vec<_>>()))
                .collect();
            let parts = workers.into_iter().map(ScopedJoinHandle::join);
            parts.flat_map(|part| part.unwrap_or_else(|panic| panic::resume_unwind(panic))).collect()
        });
        for result in results {
            take(result?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_taken_in_order_until_the_first_error() {
        let items: Vec<usize> = (0..1000).collect();
        for first_wrong in [0, 1, 500, 1000] {
            let make = |item: &usize| {
                anyhow::ensure!(*item < first_wrong, "{item}");
                Ok(item + 1)
            };
            let mut taken = Vec::new();
            let done = in_order(&items, make, |made| {
                taken.push(made);
                Ok(())
            });
            assert_eq!(taken, (1..=first_wrong).collect::<Vec<_>>());
            assert_eq!(
                done.err().map(|error| error.to_string()),
                items.get(first_wrong).map(usize::to_string)
            );
        }
    }
}
