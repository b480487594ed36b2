//! Signals that end pgk, put off while it writes: what it has not written yet is removed first.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The last of them that came; 0 is none.
static CAUGHT: LazyLock<Arc<AtomicUsize>> = LazyLock::new(|| {
    let caught = Arc::default();
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // Where this fails, the signal ends pgk at once, and its next run finishes or removes what is there.
        if let Ok(number) = usize::try_from(signal) {
            drop(signal_hook::flag::register_usize(signal, Arc::clone(&caught), number));
        }
    }
    caught
});

/// Does what no signal may interrupt, and then ends as one says that came meanwhile.
pub(super) fn held<T>(work: impl FnOnce() -> T) -> T {
    obey();
    let done = work();
    obey();
    done
}

/// Whether to go on.
///
/// # Errors
/// A signal came.
pub(super) fn check() -> io::Result<()> {
    if CAUGHT.load(Ordering::SeqCst) == 0 { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
}

fn obey() {
    if let Ok(signal @ 1..) = i32::try_from(CAUGHT.load(Ordering::SeqCst)) {
        // It ends the process, if the system lets it.
        drop(signal_hook::low_level::emulate_default_handler(signal));
    }
}
