//! Programs run with a limit of time, and waits that end.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// So many seconds.
pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long a program may take that only asks or tells the API server something.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// What a program printed that ended well.
pub(crate) struct Printed {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` with `input`, for at most `limit`. An end other than 0 is an error that tells all about it.
pub(crate) fn run(command: &mut Command, input: &str, limit: Duration) -> Result<Printed, String> {
    let name = format!("{command:?}");
    let failed = |what: &dyn Display| format!("{name}: {what}");
    // Files rather than pipes: whatever inherits them cannot keep us waiting.
    let mut files = [(); 3].map(|()| tempfile::tempfile().expect("a temporary file"));
    files[0].write_all(input.as_bytes()).and_then(|()| files[0].rewind()).expect("write a temporary file");
    let [stdin, stdout, stderr] = files.each_ref().map(|file| file.try_clone().expect("a file descriptor"));
    let mut child =
        command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().map_err(|error| failed(&error))?;
    let deadline = Instant::now() + limit;
    let ended: Option<ExitStatus> = loop {
        match child.try_wait().map_err(|error| failed(&error))? {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                child.kill().and_then(|()| child.wait()).map_err(|error| failed(&error))?;
                break None;
            }
            None => sleep(Duration::from_millis(10)),
        }
    };
    let [_, stdout, stderr] = files.map(text_of);
    match ended {
        Some(status) if status.success() => Ok(Printed { stdout, stderr }),
        Some(status) => Err(failed(&format!("{status}\n{stdout}{stderr}"))),
        None => Err(failed(&format!("not done after {limit:?}\n{stdout}{stderr}"))),
    }
}

/// What a file holds that a program has written.
fn text_of(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("read a temporary file");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `probe` succeeds, and fails the test with its last answer when `limit` has passed.
pub(crate) fn eventually<T>(what: &str, limit: Duration, probe: impl FnMut() -> Result<T, String>) -> T {
    match within(limit, probe) {
        Ok(value) => value,
        Err(last) => panic!("{what}: not within {limit:?}. At last: {last}"),
    }
}

/// Waits until `probe` succeeds; its last failure when `limit` has passed.
pub(crate) fn within<T>(limit: Duration, mut probe: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        match probe() {
            Err(last) if Instant::now() > deadline => return Err(last),
            Err(_) => sleep(Duration::from_millis(300)),
            success => return success,
        }
    }
}

/// Success if `condition` holds, else what was observed: for [`eventually`].
pub(crate) fn expect(condition: bool, observed: impl Display) -> Result<(), String> {
    if condition { Ok(()) } else { Err(observed.to_string()) }
}

/// Seconds, as the measurements are printed.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
